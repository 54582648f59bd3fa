-- Erasures: the requests, their steps, their certificates, and this service's own fences.

create table erasures (
  tenant_id               uuid        not null,
  erasure_id              uuid        not null,
  contact_id              contact_id,           -- null once this service has purged: see `fences`
  mode                    text        not null check (mode in ('everything')),
  state                   text        not null check (state in
    ('requested', 'confirmed', 'fenced', 'purged', 'verified', 'certified', 're_verified', 'cancelled')),
  version                 bigint      not null, -- counted up with each state: the sequence of its events
  requested_by            uuid        not null,
  confirmed_by            uuid,
  cancelled_by            uuid,
  received_at             timestamptz not null,
  due_at                  timestamptz not null,
  requested_at            timestamptz not null,
  confirmed_at            timestamptz,
  fencing_at              timestamptz,          -- the point of no return: set before the first participant is fenced
  fenced_at               timestamptz,
  purged_at               timestamptz,
  verified_at             timestamptz,
  certified_at            timestamptz,
  re_verified_at          timestamptz,
  cancelled_at            timestamptz,
  confirmation_hash       bytea       not null,
  confirmation_expires_at timestamptz not null,
  scope_id                uuid        not null,
  census_subject          uuid        not null, -- the two secrets in the keystore from which
  census_unit             uuid        not null, -- the key of the censuses is derived
  commitment              bytea,                -- whose it is, as the certificates say it
  nonce                   bytea,                -- opens the commitment; null once it was handed out
  ledger_number           bigint,
  ledger_digest           bytea,
  lease_token             bigint      not null, -- rises with each claim; a write with an older one does nothing
  next_attempt_at         timestamptz,          -- due, or the end of the lease; null when nothing moves by itself
  primary key (tenant_id, erasure_id)
);
call protect('erasures');
call protect_due('erasures', array['tenant_id', 'erasure_id', 'next_attempt_at']);

-- One open erasure of a contact. It holds until the own purge, which comes after the fence took over.
create unique index erasures_open on erasures (tenant_id, contact_id)
  where state not in ('certified', 're_verified', 'cancelled');
create unique index erasures_scope on erasures (tenant_id, scope_id);
create index erasures_by_state on erasures (tenant_id, state, requested_at desc, erasure_id desc);
create index erasures_by_time on erasures (tenant_id, requested_at desc, erasure_id desc);
create index erasures_due on erasures (next_attempt_at) where next_attempt_at is not null;

-- Who takes part, fixed when the erasure was requested.
create table erasure_participants (
  tenant_id   uuid     not null,
  erasure_id  uuid     not null,
  position    smallint not null,  -- the order of fencing
  participant text     not null,
  counted     bytea    not null,  -- lethe.erasure.v1.CountResponse
  primary key (tenant_id, erasure_id, position),
  foreign key (tenant_id, erasure_id) references erasures
);
call protect('erasure_participants');

-- What is to be done and what was: one row a step, and a participant where each does it.
create table erasure_steps (
  tenant_id       uuid     not null,
  erasure_id      uuid     not null,
  step            text     not null,
  position        smallint not null,  -- of the participant; -1 for retention's own steps
  attempts        integer  not null default 0,
  waits_for       text,               -- a code
  next_attempt_at timestamptz,
  done_at         timestamptz,
  answer          bytea,              -- lethe.erasure.v1: FenceResponse, PurgeResponse or VerifyAbsentResponse
  primary key (tenant_id, erasure_id, step, position),
  foreign key (tenant_id, erasure_id) references erasures
);
call protect('erasure_steps');

create table certificates (
  tenant_id      uuid        not null,
  certificate_id uuid        not null,
  erasure_id     uuid        not null,
  sequence       smallint    not null,
  envelope       bytea       not null,  -- DSSE, as it is handed out
  certified_at   timestamptz not null,
  primary key (tenant_id, certificate_id),
  unique (tenant_id, erasure_id, sequence),
  foreign key (tenant_id, erasure_id) references erasures
);
call protect('certificates');

-- A repeated RequestErasure. Its row goes with the contact's id: a client may have put that into the key, and the
-- fingerprint, under a key of its own, was made over it.
create table idempotency_keys (
  tenant_id  uuid        not null,
  key        text        not null,
  erasure_id uuid        not null,
  mac_key    bytea       not null,
  body_mac   bytea       not null,
  created_at timestamptz not null,
  primary key (tenant_id, key),
  foreign key (tenant_id, erasure_id) references erasures
);
call protect('idempotency_keys');
create index idempotency_keys_erasure on idempotency_keys (tenant_id, erasure_id);

-- This service as a participant. A fence outlives every backup: after the second certificate it is a bare contact id that
-- no erasure is asked for again.
create table fences (
  tenant_id     uuid       not null,
  contact_id    contact_id not null,
  scope_id      uuid,
  erasure_id    uuid,
  fenced_at     timestamptz,
  census        bytea,  -- sealed under the erasure's census key
  answer        bytea,  -- lethe.erasure.v1.FenceResponse
  primary key (tenant_id, contact_id)
);
call protect('fences');
create unique index fences_scope on fences (tenant_id, scope_id);
create unique index fences_erasure on fences (tenant_id, erasure_id);
