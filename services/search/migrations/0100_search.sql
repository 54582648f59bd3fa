-- Where the index stands. The documents themselves are the engine's; here is what must not be lost with it.

-- The tenants that were ever indexed, and whether one is due to be indexed anew: 'reconcile' leaves what is right where
-- it is, 'drop' begins with nothing.
create table tenants (
  tenant_id  uuid        primary key,
  rebuild    text        check (rebuild in ('reconcile', 'drop')),
  asked_at   timestamptz not null,
  rebuilt_at timestamptz,
  indexed    bigint      not null default 0  -- messages that the last rebuild read
);
call protect('tenants');
call protect_due('tenants', array['tenant_id', 'rebuild', 'asked_at']);

-- How far a contact's changes are visible in the index: all up to `upto`, and those of `ahead`, which came before others
-- did. Of an incarnation of messaging's.
create table progress (
  tenant_id   uuid        not null,
  contact_id  contact_id  not null,
  incarnation integer     not null,
  upto        bigint      not null,
  ahead       bigint[]    not null default '{}',
  withheld    boolean     not null default false,  -- a message was not to be had: read all again when the contact changes
  gap_since   timestamptz,                         -- `ahead` is not empty since then
  primary key (tenant_id, contact_id)
);
create index progress_gap_since on progress (gap_since) where gap_since is not null;
call protect('progress');
call protect_due('progress', array['tenant_id', 'contact_id', 'gap_since']);

-- What is fenced, and the census of it. A fence outlives the contact and every backup; its id of the contact is therefore
-- no column of the type contact_id.
create table fences (
  tenant_id        uuid        not null,
  scope_id         uuid        not null,
  erasure_id       uuid        not null,
  erased           uuid        not null,  -- the contact
  fenced_at        timestamptz not null,
  census           bytea,                 -- sealed under the erasure's own key; null until all writers met the fence
  census_digest    bytea,
  documents        bigint      not null default 0,  -- as counted in the census
  progress_rows    bigint      not null default 0,
  purged_documents bigint      not null default 0,
  purged_rows      bigint      not null default 0,
  purged_at        timestamptz,
  primary key (tenant_id, scope_id)
);
alter table fences alter column census set storage external, alter column census set statistics 0;
create index fences_erased on fences (tenant_id, erased);
call protect('fences');

-- Who writes a shard. The token rises with each new holder, and goes along with every write.
create table shard_leases (
  shard      smallint    primary key,
  holder     uuid,
  token      bigint      not null default 0,
  expires_at timestamptz not null default '-infinity'
);
insert into shard_leases (shard) select generate_series(0, 7);

-- The index that all this is about. Another id in the folder: it was wiped or exchanged.
create table index_identity (
  one boolean primary key default true check (one),
  id  uuid    not null
);

do $$
begin
  execute format('grant select, update on shard_leases to %I', service_role('jobs'));
  execute format('grant select on shard_leases to %I', service_role('app'));
  execute format('grant select, insert, update on index_identity to %I', service_role('jobs'));
end $$;
