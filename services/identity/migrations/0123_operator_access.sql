-- What operators of the platform asked a tenant for, and what it granted. An operator's handle is the platform's own name for
-- him, which the tenant must see: clear. A request that waits too long is over by its time, as a grant is: no job changes a row.
create table operator_access (
  tenant_id          uuid        not null references tenants,
  operator_access_id uuid        not null,
  operator           text        not null,
  reason             smallint    not null,        -- a number of lethe.identity.v1.OperatorAccessReason
  ticket             text        not null,
  permissions        smallint[]  not null,        -- numbers of lethe.access.v1.Permission, ascending
  hours              smallint    not null check (hours between 1 and 72),
  state              smallint    not null,        -- a number of lethe.identity.v1.OperatorAccessState, never EXPIRED: that is the clock's word
  requested_at       timestamptz not null,
  decided_by         uuid,                        -- the member
  decided_at         timestamptz,
  ends_at            timestamptz check (ends_at <= decided_at + interval '72 hours'),
  opened_at          timestamptz,
  token_hash         bytea       check (octet_length(token_hash) = 32),  -- SHA-256; the token is nowhere
  primary key (tenant_id, operator_access_id),
  unique (tenant_id, token_hash),
  check ((decided_by is null) = (decided_at is null)),
  check ((state = 1) = (decided_at is null)),
  check (token_hash is null or ends_at is not null)
);
create index operator_access_requested on operator_access (tenant_id, requested_at desc, operator_access_id desc);
call protect('operator_access');

alter table revocations add column operator_access_id uuid;
alter table revocations add check (num_nonnulls(session_id, member_id, api_key_id, operator_access_id) <= 1);

do $$
begin
  execute format('grant select (operator_access_id) on revocations to %I', service_role('jobs'));
  -- What was asked for is never unasked.
  execute format('revoke delete on operator_access from %I', service_role('app'));
end $$;
