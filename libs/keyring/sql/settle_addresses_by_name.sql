-- What settles a subject's addresses is called settle_addresses everywhere; and what both halves of a rectification begin with
-- stands in one place. (Nothing that calls set_addresses_v1 was ever released.)
drop function set_addresses_v1;

-- Enters the tenant and holds a living subject to the end of the transaction: those who change one subject's addresses stand
-- in a row here, so that their marks are in the order of their writes.
create function hold_subject_v1(tenant uuid, subject uuid) returns void language plpgsql as $$
begin
  perform set_config('app.tenant', tenant::text, true);
  perform pg_advisory_xact_lock_shared(tenant_lock(tenant));
  perform 1 from tombstones t where t.tenant_id = tenant and t.secret_id = subject;
  if found then
    raise exception 'a destroyed subject has no addresses' using errcode = 'LK001';
  end if;
  perform 1 from secrets s where s.tenant_id = tenant and s.secret_id = subject for no key update;
end $$;

-- Adds a subject's addresses and marks all it has. Answers the mark.
create or replace function add_addresses_v1(
  tenant uuid, subject uuid, of_version integer, of_normaliser smallint, kinds smallint[], macs bytea[], at timestamptz
) returns timestamptz language plpgsql as $$
declare
  mark timestamptz;
begin
  perform hold_subject_v1(tenant, subject);
  mark := clock_timestamp();
  insert into blind_index (tenant_id, kind, key_version, normaliser, mac, subject_id, created_at)
    select tenant, n.kind, of_version, of_normaliser, n.mac, subject, at from unnest(kinds, macs) n (kind, mac)
  on conflict do nothing;
  update blind_index b set unsettled_since = mark where b.tenant_id = tenant and b.subject_id = subject;
  return mark;
end $$;

-- Makes these the addresses that a subject has, if `mark` still stands: where somebody began later it is theirs to settle,
-- and where they have, it is settled. Without a mark: of a subject that is new.
create function settle_addresses_v1(
  tenant uuid, subject uuid, of_version integer, of_normaliser smallint, kinds smallint[], macs bytea[], at timestamptz,
  mark timestamptz
) returns void language plpgsql as $$
begin
  perform hold_subject_v1(tenant, subject);
  if mark is distinct from (select max(b.unsettled_since) from blind_index b where b.tenant_id = tenant and b.subject_id = subject) then
    return;
  end if;
  delete from blind_index b where b.tenant_id = tenant and b.subject_id = subject and not exists (
    select from unnest(kinds, macs) n (kind, mac)
    where n.kind = b.kind and n.mac = b.mac and b.key_version = of_version and b.normaliser = of_normaliser);
  update blind_index b set unsettled_since = null
   where b.tenant_id = tenant and b.subject_id = subject and b.unsettled_since is not null;
  insert into blind_index (tenant_id, kind, key_version, normaliser, mac, subject_id, created_at)
    select tenant, n.kind, of_version, of_normaliser, n.mac, subject, at from unnest(kinds, macs) n (kind, mac)
  on conflict do nothing;
end $$;
