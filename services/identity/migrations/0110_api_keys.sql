-- Machines as callers: API keys, what they asked, the signatures of theirs that were used, and which gateways share the
-- limits. A key is the subject of what is sealed about it: its name (one unit) and its secret (another, destroyed when the
-- key is revoked).

create table api_keys (
  tenant_id           uuid        not null references tenants,
  api_key_id          uuid        not null,
  subject_id          subject_id  not null,
  name_unit_id        uuid        not null,
  secret_unit_id      uuid        not null,
  name                bytea       not null,       -- sealed
  secret              bytea,                      -- sealed; null from its revocation on
  scopes              smallint[]  not null,       -- numbers of lethe.access.v1.Permission, ascending
  requests_per_minute integer     check (requests_per_minute > 0),
  created_by          uuid        not null,       -- the member who made it
  created_at          timestamptz not null,
  expires_at          timestamptz,
  revoked_at          timestamptz,
  primary key (tenant_id, api_key_id),
  unique (tenant_id, subject_id),
  unique (tenant_id, name_unit_id),
  unique (tenant_id, secret_unit_id),
  check ((revoked_at is null) = (secret is not null))
);
create index api_keys_created on api_keys (tenant_id, created_at desc, api_key_id desc);
create index api_keys_revoked on api_keys (revoked_at) where revoked_at is not null;
call protect('api_keys');
call protect_due('api_keys', array['tenant_id', 'api_key_id', 'revoked_at']);

-- One row a request that a key signed; `missed` counts those for which there was no room, and says so.
create table api_requests (
  tenant_id  uuid        not null,
  request_id uuid        not null,                -- the gateway's, as in x-request-id
  api_key_id uuid        not null,
  at         timestamptz not null,
  method     text        not null,
  route      text        not null,                -- the template, never a path
  rpc        text        not null,
  status     smallint    not null,
  missed     integer     not null default 0,
  primary key (tenant_id, request_id)
);
create index api_requests_at on api_requests (tenant_id, at desc, request_id desc);
create index api_requests_key on api_requests (tenant_id, api_key_id, at desc, request_id desc);
create index api_requests_old on api_requests (at);
call protect('api_requests');
call protect_due('api_requests', array['tenant_id', 'request_id', 'at']);

-- Signatures of changes that no idempotency row and no version keeps from being replayed. Minutes.
create table used_signatures (
  tenant_id  uuid        not null,
  api_key_id uuid        not null,
  signature  bytea       not null check (octet_length(signature) = 32),  -- the signature itself
  used_at    timestamptz not null,
  primary key (tenant_id, api_key_id, signature)
);
create index used_signatures_used on used_signatures (used_at);
call protect('used_signatures');
call protect_due('used_signatures', array['tenant_id', 'used_at']);

alter table revocations add column api_key_id uuid;
alter table revocations add check (num_nonnulls(session_id, member_id, api_key_id) <= 1);

-- Which gateways live: each has its share of every limit. The platform's, nobody's data. By the database's time.
create table gateway_replicas (
  replica_id uuid        primary key,
  seen_at    timestamptz not null
);

do $$
begin
  execute format('grant select (api_key_id) on revocations to %I', service_role('jobs'));
  execute format('grant select, insert, update, delete on gateway_replicas to %I', service_role('jobs'));
end $$;
