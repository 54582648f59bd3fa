-- The keystore: wrapped secrets and what makes their end certain. Runs as <service>_owner, in an instance of its own.

-- One KMS key each, a week old at the most. A closing epoch takes no new wraps; rows stay as the record of what was.
create table epochs (
  number integer primary key check (number > 0),
  kms_key text not null unique,
  created_at timestamptz not null,
  closing_at timestamptz,             -- takes no more wraps from here on
  deletes_at timestamptz              -- when the key service deletes its key
);
create unique index one_epoch_is_open on epochs ((true)) where closing_at is null;

-- Fresh for each epoch, wrapped by its KMS key, never carried over.
create table tenant_keys (
  tenant_id uuid not null,
  epoch integer not null,
  wrapped bytea not null check (length(wrapped) between 32 and 4096),
  created_at timestamptz not null,
  primary key (tenant_id, epoch)
);
call protect('tenant_keys');

create table secrets (
  tenant_id uuid not null,
  secret_id uuid not null,
  kind smallint not null check (kind in (1, 2)),     -- subject, unit: wrapped::Kind
  subject_id subject_id not null,                    -- a subject's own id, or the subject a unit is of
  epoch integer not null,
  wrapped bytea not null check (length(wrapped) = 118),
  created_at timestamptz not null,
  owned_at timestamptz,                              -- when the sweep saw a row that uses it
  primary key (tenant_id, secret_id),
  check ((kind = 1) = (secret_id = subject_id::uuid)),
  -- A unit is of a subject that is there: none can be added to one that is destroyed.
  foreign key (tenant_id, subject_id) references secrets (tenant_id, secret_id)
);
create index secrets_of_subject on secrets (tenant_id, subject_id);
create index secrets_not_seen_owned on secrets (created_at) where owned_at is null;
alter table secrets alter column wrapped set statistics 0;
call protect('secrets');
call protect_due('secrets', array['tenant_id', 'secret_id', 'kind', 'created_at', 'owned_at']);

-- A destroyed secret's id: never used again.
create table tombstones (
  tenant_id uuid not null,
  secret_id uuid not null,
  kind smallint not null check (kind in (1, 2)),
  cause uuid not null,                               -- the erasure; nil: nobody ever used it
  destroyed_at timestamptz not null,
  primary key (tenant_id, secret_id)
);
call protect('tombstones');

-- HMAC of a normalised address, with the versions of key and rules it was made by. Dies with its subject's secret.
create table blind_index (
  tenant_id uuid not null,
  kind smallint not null check (kind in (1, 2)),     -- phone, email
  key_version integer not null,
  normaliser smallint not null,
  mac bytea not null check (length(mac) = 32),
  subject_id subject_id not null,
  created_at timestamptz not null,
  primary key (tenant_id, kind, key_version, normaliser, mac, subject_id),
  foreign key (tenant_id, subject_id) references secrets (tenant_id, secret_id)
);
create index blind_index_of_subject on blind_index (tenant_id, subject_id);
alter table blind_index alter column mac set statistics 0;
call protect('blind_index');

-- The tenant's long-lived keys of the blind index (3) and of the suppression list (4); they open nothing. Wrapped anew in each epoch.
create table tenant_index_keys (
  tenant_id uuid not null,
  kind smallint not null check (kind in (3, 4)),
  version integer not null check (version > 0),
  key_id uuid not null,
  epoch integer not null,
  wrapped bytea not null check (length(wrapped) = 118),
  created_at timestamptz not null,
  primary key (tenant_id, kind, version)
);
alter table tenant_index_keys alter column wrapped set statistics 0;
call protect('tenant_index_keys');

-- Rights beyond `protect`: the app role opens the first epoch, reads them all and closes none; a tombstone is for ever.
do $$
begin
  execute format('grant select, insert on epochs to %I', service_role('app'));
  execute format('grant select on epochs to %I', service_role('verify'));
  execute format('revoke update, delete on tombstones from %I', service_role('app'));
  execute format('revoke update, delete on tenant_keys from %I', service_role('app'));
end $$;

-- Whoever wraps shares this lock until it commits; whoever closes an epoch waits for them all.
create function epoch_lock() returns bigint language sql immutable as $$ select 4702111234474983745 $$;

-- Whoever inserts secrets or addresses of a tenant shares this lock; whoever destroys some has it alone. So a tombstone and an insert
-- of the same id cannot pass each other.
create function tenant_lock(tenant uuid) returns bigint language sql immutable as
  $$ select hashtextextended(tenant::text, 4702111234474983745) $$;

create function refuse_closed_epoch() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock_shared(epoch_lock());
  perform 1 from epochs where number = new.epoch and closing_at is null;
  if not found then
    raise exception 'epoch % takes no new wraps', new.epoch using errcode = 'LK002';
  end if;
  return new;
end $$;
create trigger closed_epoch before insert or update of epoch, wrapped on secrets
  for each row execute function refuse_closed_epoch();
create trigger closed_epoch before insert or update of epoch, wrapped on tenant_index_keys
  for each row execute function refuse_closed_epoch();
create trigger closed_epoch before insert or update of epoch, wrapped on tenant_keys
  for each row execute function refuse_closed_epoch();

create function wait_for_wraps() returns trigger language plpgsql as $$
begin
  if old.closing_at is not null and new.closing_at is null then
    raise exception 'epoch % is closed for good', new.number using errcode = 'LK002';
  end if;
  perform pg_advisory_xact_lock(epoch_lock());
  return new;
end $$;
create trigger wait_for_wraps before update on epochs for each row execute function wait_for_wraps();

create function refuse_destroyed() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock_shared(tenant_lock(new.tenant_id));
  perform 1 from tombstones where tenant_id = new.tenant_id and secret_id in (new.secret_id, new.subject_id);
  if found then
    raise exception 'a destroyed secret does not come back' using errcode = 'LK001';
  end if;
  return new;
end $$;
create trigger destroyed before insert on secrets for each row execute function refuse_destroyed();

create function lone_destroyer() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock(tenant_lock(new.tenant_id));
  return new;
end $$;
create trigger lone_destroyer before insert on tombstones for each row execute function lone_destroyer();

-- What follows is called by the app role: one trip each, the tenant set inside.

create function create_secrets_v1(
  tenant uuid, the_epoch integer, at timestamptz, ids uuid[], kinds smallint[], subjects uuid[], wraps bytea[]
) returns void language plpgsql as $$
begin
  perform set_config('app.tenant', tenant::text, true);
  insert into secrets (tenant_id, secret_id, kind, subject_id, epoch, wrapped, created_at)
    select tenant, n.id, n.kind, n.subject, the_epoch, n.wrapped, at
    from unnest(ids, kinds, subjects, wraps) n (id, kind, subject, wrapped);
end $$;

create function read_secrets_v1(tenant uuid, ids uuid[])
returns table (id uuid, subject uuid, in_epoch integer, wrap bytea) language plpgsql as $$
begin
  perform set_config('app.tenant', tenant::text, true);
  return query
    select s.secret_id, s.subject_id::uuid, s.epoch, s.wrapped from secrets s
      where s.tenant_id = tenant and s.secret_id = any (ids)
    union all
    select t.secret_id, null, null, null from tombstones t where t.tenant_id = tenant and t.secret_id = any (ids);
end $$;

create function read_tenant_key_v1(tenant uuid, of_epoch integer)
returns table (key_service_id text, wrap bytea) language plpgsql as $$
begin
  perform set_config('app.tenant', tenant::text, true);
  return query
    select e.kms_key, k.wrapped from epochs e
    left join tenant_keys k on k.tenant_id = tenant and k.epoch = e.number
    where e.number = of_epoch;
end $$;

-- The first one stays; whoever comes second reads it.
create function put_tenant_key_v1(tenant uuid, of_epoch integer, at timestamptz, wrap bytea)
returns void language plpgsql as $$
begin
  perform set_config('app.tenant', tenant::text, true);
  insert into tenant_keys (tenant_id, epoch, wrapped, created_at) values (tenant, of_epoch, wrap, at)
  on conflict do nothing;
end $$;

create function read_index_keys_v1(tenant uuid)
returns table (its_kind smallint, its_version integer, wrap bytea) language plpgsql as $$
begin
  perform set_config('app.tenant', tenant::text, true);
  return query select k.kind, k.version, k.wrapped from tenant_index_keys k
    where k.tenant_id = tenant order by k.kind, k.version;
end $$;

create function put_index_key_v1(
  tenant uuid, its_kind smallint, its_version integer, id uuid, of_epoch integer, at timestamptz, wrap bytea
) returns void language plpgsql as $$
begin
  perform set_config('app.tenant', tenant::text, true);
  insert into tenant_index_keys (tenant_id, kind, version, key_id, epoch, wrapped, created_at)
  values (tenant, its_kind, its_version, id, of_epoch, wrap, at) on conflict do nothing;
end $$;

-- Adds a subject's addresses; with `instead`, those not named go.
create function index_addresses_v1(
  tenant uuid, subject uuid, of_version integer, of_normaliser smallint, kinds smallint[], macs bytea[],
  at timestamptz, instead boolean
) returns void language plpgsql as $$
begin
  perform set_config('app.tenant', tenant::text, true);
  perform pg_advisory_xact_lock_shared(tenant_lock(tenant));
  perform 1 from tombstones t where t.tenant_id = tenant and t.secret_id = subject;
  if found then
    raise exception 'a destroyed subject has no addresses' using errcode = 'LK001';
  end if;
  if instead then
    delete from blind_index b where b.tenant_id = tenant and b.subject_id = subject and not exists (
      select from unnest(kinds, macs) n (kind, mac)
      where n.kind = b.kind and n.mac = b.mac and b.key_version = of_version and b.normaliser = of_normaliser);
  end if;
  insert into blind_index (tenant_id, kind, key_version, normaliser, mac, subject_id, created_at)
    select tenant, n.kind, of_version, of_normaliser, n.mac, subject, at from unnest(kinds, macs) n (kind, mac)
  on conflict do nothing;
end $$;

create function find_subjects_v1(tenant uuid, of_kind smallint, versions integer[], normalisers smallint[], macs bytea[])
returns setof uuid language plpgsql as $$
begin
  perform set_config('app.tenant', tenant::text, true);
  return query
    select distinct b.subject_id::uuid
    from unnest(versions, normalisers, macs) n (version, normaliser, mac)
    join blind_index b on b.tenant_id = tenant and b.kind = of_kind and b.key_version = n.version
      and b.normaliser = n.normaliser and b.mac = n.mac;
end $$;

-- Tombstones first: from there on no secret with these ids can come. Units go with their subject. Twice is as once.
create function destroy_secrets_v1(tenant uuid, subjects uuid[], units uuid[], why uuid, at timestamptz)
returns table (subjects_gone bigint, units_gone bigint, addresses_gone bigint, dead bigint, touched uuid[])
language plpgsql as $$
declare
  doomed uuid[];
begin
  perform set_config('app.tenant', tenant::text, true);
  perform pg_advisory_xact_lock(tenant_lock(tenant));
  select coalesce(array_agg(s.secret_id), '{}'), coalesce(array_agg(distinct s.subject_id::uuid), '{}')
    into doomed, touched from secrets s
    where s.tenant_id = tenant and (s.subject_id = any (subjects) or (s.kind = 2 and s.secret_id = any (units)));
  insert into tombstones (tenant_id, secret_id, kind, cause, destroyed_at)
    select tenant, id, 1, why, at from unnest(subjects) id
    union
    select tenant, id, 2, why, at from (select unnest(units) union select unnest(doomed)) u (id)
      where id <> all (subjects)
        and not exists (select from secrets s where s.tenant_id = tenant and s.secret_id = id and s.kind = 1)
  on conflict do nothing;
  delete from blind_index b where b.tenant_id = tenant and b.subject_id = any (subjects);
  get diagnostics addresses_gone = row_count;
  delete from secrets s where s.tenant_id = tenant and s.kind = 2 and s.secret_id = any (doomed);
  get diagnostics units_gone = row_count;
  delete from secrets s where s.tenant_id = tenant and s.kind = 1 and s.secret_id = any (subjects);
  get diagnostics subjects_gone = row_count;
  select count(*) into dead from tombstones t
    where t.tenant_id = tenant and (t.secret_id = any (subjects) or t.secret_id = any (units));
  return next;
end $$;

-- The sweep's verdict: `owned` are asked about no more; of the others, units go, and subjects that have no unit left.
create function sweep_secrets_v1(tenant uuid, owned uuid[], unowned uuid[], at timestamptz)
returns bigint language plpgsql as $$
declare
  lonely uuid[];
  gone bigint;
  more bigint;
begin
  perform set_config('app.tenant', tenant::text, true);
  perform pg_advisory_xact_lock(tenant_lock(tenant));
  update secrets s set owned_at = at where s.tenant_id = tenant and s.secret_id = any (owned) and s.owned_at is null;
  insert into tombstones (tenant_id, secret_id, kind, cause, destroyed_at)
    select tenant, s.secret_id, 2, '00000000-0000-0000-0000-000000000000', at from secrets s
    where s.tenant_id = tenant and s.kind = 2 and s.owned_at is null and s.secret_id = any (unowned)
  on conflict do nothing;
  delete from secrets s where s.tenant_id = tenant and s.kind = 2 and s.owned_at is null and s.secret_id = any (unowned);
  get diagnostics gone = row_count;
  -- A subject whose unit is in use is in use.
  update secrets s set owned_at = at
    where s.tenant_id = tenant and s.kind = 1 and s.owned_at is null and s.secret_id = any (unowned) and exists (
      select from secrets u where u.tenant_id = tenant and u.subject_id = s.secret_id and u.kind = 2
        and u.owned_at is not null);
  select coalesce(array_agg(s.secret_id), '{}') into lonely from secrets s
    where s.tenant_id = tenant and s.kind = 1 and s.owned_at is null and s.secret_id = any (unowned) and not exists (
      select from secrets u where u.tenant_id = tenant and u.subject_id = s.secret_id and u.kind = 2);
  insert into tombstones (tenant_id, secret_id, kind, cause, destroyed_at)
    select tenant, id, 1, '00000000-0000-0000-0000-000000000000', at from unnest(lonely) id
  on conflict do nothing;
  delete from blind_index b where b.tenant_id = tenant and b.subject_id = any (lonely);
  delete from secrets s where s.tenant_id = tenant and s.kind = 1 and s.secret_id = any (lonely);
  get diagnostics more = row_count;
  return gone + more;
end $$;
