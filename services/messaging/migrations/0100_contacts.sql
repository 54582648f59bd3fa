-- Contacts and what they agreed to. Every table about a person is keyed by the tenant and one UUID and reaches its contact
-- by a column of the type contact_id or conversation_id: census, eraser and verifier find it by that.
-- What is sealed is stored as it is: ciphertext does not compress, and PostgreSQL keeps no statistics on it.

create table contacts (
  tenant_id    uuid        not null,
  contact_id   contact_id  not null,
  subject_id   subject_id  not null,
  unit_id      uuid        not null,  -- the profile's unit secret
  profile      bytea       not null,  -- sealed; its seal version is sealed_version
  sealed_version integer   not null,
  version      bigint      not null,  -- counts changes of what a reader sees, for If-Match
  seq          bigint      not null,  -- the contact's sequence when the contact itself last changed
  created_at   timestamptz not null,
  updated_at   timestamptz not null,
  primary key (tenant_id, contact_id)
);
alter table contacts alter column profile set storage external, alter column profile set statistics 0;
call protect('contacts');

-- A contact is a set of subjects: a merge adds to it and re-seals nothing.
create table contact_subjects (
  tenant_id  uuid       not null,
  subject_id subject_id not null,
  contact_id contact_id not null,
  primary key (tenant_id, subject_id)
);
create index contact_subjects_contact on contact_subjects (tenant_id, contact_id);
call protect('contact_subjects');

-- The one row that every change of a contact, its conversations and messages counts up first: so changes of one contact
-- stand in a row, and each meets fence, opt-out and restriction.
create table contact_head (
  tenant_id   uuid       not null,
  contact_id  contact_id not null,
  seq         bigint     not null,
  opted_out   boolean    not null,
  restriction smallint   not null check (restriction between 0 and 4),  -- the ground of Art. 18(1); 0 is none
  fenced      boolean    not null default false,
  primary key (tenant_id, contact_id)
) with (fillfactor = 50);  -- room beside each row, so that counting up touches no index
call protect('contact_head');

create table consents (
  tenant_id  uuid        not null,
  consent_id uuid        not null,
  contact_id contact_id  not null,
  purpose    smallint    not null,
  act        smallint    not null,
  source     bytea       not null,  -- sealed under the profile's unit
  at         timestamptz not null,
  primary key (tenant_id, consent_id)
);
alter table consents alter column source set storage external, alter column source set statistics 0;
create index consents_contact on consents (tenant_id, contact_id, consent_id);
call protect('consents');

-- The opt-out list: addresses under the suppression key, and nothing else. It outlives the contact.
create table opt_outs (
  tenant_id          uuid     not null,
  kind               smallint not null,  -- 1 phone, 2 e-mail
  mac                bytea    not null,
  key_version        integer  not null,
  normaliser_version integer  not null,
  primary key (tenant_id, mac)
);
alter table opt_outs alter column mac set statistics 0;
call protect('opt_outs');

-- Creating requests that may come again: the key and the body as MACs, and what came of them.
create table idempotency (
  tenant_id   uuid        not null,
  key_mac     uuid        not null,
  body_mac    uuid        not null,
  contact_id  contact_id  not null,
  resource_id uuid        not null,
  created_at  timestamptz not null,
  primary key (tenant_id, key_mac)
);
create index idempotency_created_at on idempotency using brin (created_at);
call protect('idempotency');
call protect_due('idempotency', array['tenant_id', 'created_at']);

-- Keys whose resource was erased: their replay is answered 'gone' until they would have been forgotten anyway. They say
-- nothing of whom they were about.
create table gone_keys (
  tenant_id  uuid        not null,
  key_mac    uuid        not null,
  created_at timestamptz not null,
  primary key (tenant_id, key_mac)
);
create index gone_keys_created_at on gone_keys using brin (created_at);
call protect('gone_keys');
call protect_due('gone_keys', array['tenant_id', 'created_at']);
