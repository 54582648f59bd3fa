-- Who is asking, and what they did. `tenant_id` leads every key. Names, addresses, phones and clients are sealed
-- (lethe-keyring: subject = the member, unit = his profile); ids, times, roles and statuses are clear.

-- The only table without a tenant: log-in names the tenant by its slug.
create table slugs (
  slug      text primary key check (slug ~ '^[a-z0-9][a-z0-9-]{1,38}[a-z0-9]$'),
  tenant_id uuid not null unique
);

create table tenants (
  tenant_id      uuid        primary key,
  slug           text        not null,
  name           text        not null,
  plan           text        not null,
  region         text        not null,
  settings       jsonb       not null default '{}',
  version        bigint      not null default 1,
  void_before_ms bigint      not null default 0,  -- no principal counts as issued before this
  created_at     timestamptz not null
);
call protect('tenants');

create table members (
  tenant_id            uuid        not null references tenants,
  member_id            uuid        not null,
  subject_id           subject_id  not null,
  unit_id              uuid        not null,
  profile              bytea       not null,      -- sealed: name, e-mail address, phone
  profile_version      integer     not null default 1,  -- the seal version
  password_hash        text        not null,      -- PHC string
  must_change_password boolean     not null,      -- it was a one-time one
  roles                smallint[]  not null,      -- numbers of lethe.access.v1.Role, ascending
  active               boolean     not null default true,
  version              bigint      not null default 1,
  void_before_ms       bigint      not null default 0,
  created_at           timestamptz not null,
  primary key (tenant_id, member_id),
  unique (tenant_id, subject_id),
  unique (tenant_id, unit_id)
);
create index members_created on members (tenant_id, created_at, member_id);
call protect('members');

create table sessions (
  tenant_id    uuid        not null,
  session_id   uuid        not null,
  member_id    uuid        not null,
  token_hash   bytea       not null check (octet_length(token_hash) = 32),  -- SHA-256; the token is nowhere
  client       bytea       not null,                                        -- sealed: browser, os
  created_at   timestamptz not null,
  last_seen_at timestamptz not null,
  expires_at   timestamptz not null,
  primary key (tenant_id, session_id),
  unique (tenant_id, token_hash),
  foreign key (tenant_id, member_id) references members on delete cascade
);
create index sessions_member on sessions (tenant_id, member_id, created_at desc, session_id desc);
create index sessions_expires on sessions (expires_at);
call protect('sessions');
call protect_due('sessions', array['tenant_id', 'session_id', 'last_seen_at', 'expires_at']);

create table log_in_records (
  tenant_id        uuid        not null,
  log_in_record_id uuid        not null,
  member_id        uuid        not null,
  at               timestamptz not null,
  method           text        not null,
  succeeded        boolean     not null,
  client           bytea       not null,          -- sealed: address, browser, os, device type
  primary key (tenant_id, log_in_record_id),
  foreign key (tenant_id, member_id) references members on delete cascade
);
create index log_in_records_member on log_in_records (tenant_id, member_id, at desc, log_in_record_id desc);
create index log_in_records_at on log_in_records (at);
call protect('log_in_records');
call protect_due('log_in_records', array['tenant_id', 'log_in_record_id', 'at']);

-- What every process must hear within a second. `recorded_at` is the database's time, so that replicas agree on what is new.
create table revocations (
  tenant_id     uuid        not null,
  revocation_id uuid        not null,
  session_id    uuid,
  member_id     uuid,                             -- neither: the whole tenant
  revoked_at_ms bigint      not null,
  recorded_at   timestamptz not null default clock_timestamp(),
  primary key (tenant_id, revocation_id),
  check (session_id is null or member_id is null)
);
create index revocations_recorded on revocations (recorded_at);
call protect('revocations');
call protect_due('revocations', array['tenant_id', 'revocation_id', 'session_id', 'member_id', 'revoked_at_ms', 'recorded_at']);

-- Append-only, but for the alias that an erasure puts in the place of a contact. The leaf commits to the row under two
-- salts, one for what was done and one for whom it was about, so that either part can be forgotten and the later
-- Merkle tree (RFC 6962) still stands: src/domain/audit.rs.
create table audit_events (
  tenant_id        uuid        not null,
  audit_id         uuid        not null,
  at               timestamptz not null,
  service          text        not null,
  actor_kind       text        not null,
  actor_id         text        not null,
  action           text        not null,
  target_kind      text        not null,
  target_id        text        not null,          -- after an erasure of the contact: the erasure's id
  contact_id       contact_id,                    -- null when it is about none, and after the erasure
  erasure_id       uuid,                          -- the alias, after an erasure
  request_id       text        not null,
  salt             bytea       not null check (octet_length(salt) = 32),
  about_salt       bytea       check (octet_length(about_salt) = 32),  -- null after the erasure
  about_commitment bytea       not null check (octet_length(about_commitment) = 32),
  leaf_hash        bytea       not null check (octet_length(leaf_hash) = 32),
  primary key (tenant_id, audit_id),
  check (erasure_id is null or (contact_id is null and about_salt is null))
);
create index audit_events_at on audit_events (tenant_id, at desc, audit_id desc);
create index audit_events_contact on audit_events (tenant_id, contact_id) where contact_id is not null;
create index audit_events_target on audit_events (tenant_id, target_id, at desc);
create index audit_events_actor on audit_events (tenant_id, actor_id, at desc);
call protect('audit_events');

-- Idempotency-Key of CreateMember. The body is compared by a keyed MAC.
create table idempotency (
  tenant_id  uuid        not null,
  rpc        text        not null,
  key        text        not null,
  member_id  uuid        not null,                -- who asked: a key is his own
  body_mac   bytea       not null check (octet_length(body_mac) = 32),
  resource   uuid        not null,
  created_at timestamptz not null,
  primary key (tenant_id, rpc, member_id, key)
);
create index idempotency_created on idempotency (created_at);
call protect('idempotency');
call protect_due('idempotency', array['tenant_id', 'rpc', 'member_id', 'key', 'created_at']);

-- Erasures' fences. The contact is there as SHA-256 only: a fence outlives every backup and must not be the row that
-- still names whom it hides.
create table fences (
  tenant_id     uuid        not null,
  scope_id      uuid        not null,
  erasure_id    uuid        not null,
  contact_hash  bytea       not null check (octet_length(contact_hash) = 32),
  census        bytea       not null,             -- sealed under the erasure's own key
  census_digest bytea       not null check (octet_length(census_digest) = 32),
  audit_events  bigint      not null,             -- how many the census counts
  replaced      bigint      not null default 0,   -- how many were given the alias, over all purges
  fenced_at     timestamptz not null,
  purged_at     timestamptz,
  primary key (tenant_id, scope_id)
);
create index fences_contact on fences (tenant_id, contact_hash);
call protect('fences');

do $$
begin
  execute format('grant select, insert on slugs to %I', service_role('app'));
  execute format('grant select on slugs to %I', service_role('verify'));
  -- The app role appends to the audit log; of a row that is there it changes only what names a contact.
  execute format('revoke update, delete on audit_events from %I', service_role('app'));
  execute format('grant update (target_id, contact_id, erasure_id, about_salt) on audit_events to %I', service_role('app'));
  -- A fence is never lifted, and its census never changed.
  execute format('revoke update, delete on fences from %I', service_role('app'));
  execute format('grant update (replaced, purged_at) on fences to %I', service_role('app'));
end $$;
