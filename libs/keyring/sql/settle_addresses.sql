-- A rectification writes the new addresses beside the old ones, changes the row, and makes the index know the row's present
-- addresses only. A crash in between leaves one address too many; so whoever begins marks the subject's rows with the time,
-- by this database's clock, and whoever began last takes the mark away. What stays marked is settled by a job.
alter table blind_index add column unsettled_since timestamptz;
create index blind_index_unsettled on blind_index (unsettled_since) where unsettled_since is not null;
call protect_due('blind_index', array['tenant_id', 'subject_id', 'unsettled_since']);

drop function index_addresses_v1;

-- Adds a subject's addresses and marks all it has. Answers the mark.
create function add_addresses_v1(
  tenant uuid, subject uuid, of_version integer, of_normaliser smallint, kinds smallint[], macs bytea[], at timestamptz
) returns timestamptz language plpgsql as $$
declare
  mark timestamptz;
begin
  perform set_config('app.tenant', tenant::text, true);
  perform pg_advisory_xact_lock_shared(tenant_lock(tenant));
  perform 1 from tombstones t where t.tenant_id = tenant and t.secret_id = subject;
  if found then
    raise exception 'a destroyed subject has no addresses' using errcode = 'LK001';
  end if;
  -- Those who begin with one subject stand in a row here, so that their marks are in the order of their writes.
  perform 1 from secrets s where s.tenant_id = tenant and s.secret_id = subject for no key update;
  mark := clock_timestamp();
  insert into blind_index (tenant_id, kind, key_version, normaliser, mac, subject_id, created_at)
    select tenant, n.kind, of_version, of_normaliser, n.mac, subject, at from unnest(kinds, macs) n (kind, mac)
  on conflict do nothing;
  update blind_index b set unsettled_since = mark where b.tenant_id = tenant and b.subject_id = subject;
  return mark;
end $$;

-- Makes these the addresses that a subject has, if `mark` still stands: where somebody began later it is theirs to settle,
-- and where they have, it is settled. Without a mark: of a subject that is new.
create function set_addresses_v1(
  tenant uuid, subject uuid, of_version integer, of_normaliser smallint, kinds smallint[], macs bytea[], at timestamptz,
  mark timestamptz
) returns void language plpgsql as $$
begin
  perform set_config('app.tenant', tenant::text, true);
  perform pg_advisory_xact_lock_shared(tenant_lock(tenant));
  perform 1 from tombstones t where t.tenant_id = tenant and t.secret_id = subject;
  if found then
    raise exception 'a destroyed subject has no addresses' using errcode = 'LK001';
  end if;
  perform 1 from secrets s where s.tenant_id = tenant and s.secret_id = subject for no key update;
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

-- Marks a subject anew that could not be settled, so that it does not hold back the others.
create function put_off_settling_v1(tenant uuid, subject uuid, mark timestamptz) returns void language plpgsql as $$
begin
  perform set_config('app.tenant', tenant::text, true);
  update blind_index b set unsettled_since = clock_timestamp()
   where b.tenant_id = tenant and b.subject_id = subject and b.unsettled_since = mark;
end $$;

-- Whether another subject is on its way to this address: its row may come to say so at any moment.
create function unsettled_subjects_v1(tenant uuid, subjects uuid[]) returns setof uuid language plpgsql as $$
begin
  perform set_config('app.tenant', tenant::text, true);
  return query select distinct b.subject_id::uuid from blind_index b
    where b.tenant_id = tenant and b.subject_id = any (subjects) and b.unsettled_since is not null;
end $$;
