-- Where tenants want to hear of their events, and what was sent there.

-- A receiver. Its id is also the subject under which its address and its signing secrets are sealed: they die with it.
create table webhook_endpoints (
  tenant_id      uuid        not null,
  endpoint_id    uuid        not null,
  unit_id        uuid        not null,  -- of the profile
  profile        bytea       not null,  -- URL and description, sealed; its seal version is sealed_version
  sealed_version integer     not null,
  event_types    smallint[]  not null,
  state          smallint    not null check (state between 1 and 6),  -- 1 enabled; 6 is being deleted
  version        bigint      not null,  -- counts changes of what a reader sees, for If-Match
  failing_since  timestamptz,           -- the first failure after the last success
  due_at         timestamptz,           -- when its next delivery is due; null when none waits
  leased_until   timestamptz,           -- one process sends to it at a time
  lease          bigint      not null default 0,
  listens_from   timestamptz not null default now(),  -- by the clock that events are stamped with: older ones are not for it
  created_at     timestamptz not null,
  updated_at     timestamptz not null,
  primary key (tenant_id, endpoint_id)
);
alter table webhook_endpoints alter column profile set storage external, alter column profile set statistics 0;
create index webhook_endpoints_due on webhook_endpoints (due_at) where due_at is not null;
create index webhook_endpoints_deleting on webhook_endpoints (tenant_id) where state = 6;
call protect('webhook_endpoints');
call protect_due('webhook_endpoints', array['tenant_id', 'endpoint_id', 'state', 'due_at', 'leased_until']);

-- The current signing secret and, for a day after a rotation, the one before.
create table webhook_secrets (
  tenant_id   uuid        not null,
  unit_id     uuid        not null,  -- the unit it is sealed under: a secret of its own for each
  endpoint_id uuid        not null,
  secret      bytea       not null,  -- sealed
  created_at  timestamptz not null,
  expires_at  timestamptz,
  primary key (tenant_id, unit_id)
);
alter table webhook_secrets alter column secret set storage external, alter column secret set statistics 0;
create index webhook_secrets_endpoint on webhook_secrets (tenant_id, endpoint_id, created_at desc);
create index webhook_secrets_expiring on webhook_secrets (expires_at) where expires_at is not null;
call protect('webhook_secrets');
call protect_due('webhook_secrets', array['tenant_id', 'unit_id', 'endpoint_id', 'expires_at']);

-- One event on its way to one receiver. Ids only: the body is made of them.
create table webhook_deliveries (
  tenant_id       uuid        not null,
  delivery_id     uuid        not null,
  endpoint_id     uuid        not null,
  event_id        uuid        not null,  -- the header webhook-id
  event_type      smallint    not null,
  happened_at     timestamptz not null,
  contact_id      contact_id,
  conversation_id conversation_id not null,  -- nil: about none
  message_id      uuid,
  erasure_id      uuid,
  erasure_state   text,
  state           smallint    not null check (state between 1 and 3),  -- pending, delivered, failed
  attempts        integer     not null default 0,
  next_attempt_at timestamptz,
  last_attempt_at timestamptz,
  last_status     smallint,
  last_failure    text,
  created_at      timestamptz not null,
  primary key (tenant_id, delivery_id)
);
-- An event that the bus delivers twice goes to a receiver once.
create unique index webhook_deliveries_event on webhook_deliveries (tenant_id, endpoint_id, event_id);
create index webhook_deliveries_due on webhook_deliveries (tenant_id, endpoint_id, next_attempt_at) where next_attempt_at is not null;
create index webhook_deliveries_contact on webhook_deliveries (tenant_id, contact_id) where contact_id is not null;
create index webhook_deliveries_conversation on webhook_deliveries (tenant_id, conversation_id);
create index webhook_deliveries_created_at on webhook_deliveries using brin (created_at);
call protect('webhook_deliveries');
call protect_due('webhook_deliveries', array['tenant_id', 'created_at']);

-- Who was sent a person's data, and by what means (GDPR Art. 15(1)(c), Art. 19). It outlives the receiver's registration.
create table recipients (
  tenant_id    uuid        not null,
  recipient_id uuid        not null,
  contact_id   contact_id  not null,
  endpoint_id  uuid        not null,
  means        smallint    not null,  -- 1 webhook
  first_at     timestamptz not null,
  last_at      timestamptz not null,
  primary key (tenant_id, recipient_id)
);
create unique index recipients_of_contact on recipients (tenant_id, contact_id, endpoint_id, means);
call protect('recipients');

-- Finds the key of what was about nobody when that is deleted.
create index idempotency_of_nobody on idempotency (tenant_id, resource_id) where contact_id is null;
