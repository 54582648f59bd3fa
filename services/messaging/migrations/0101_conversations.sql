-- Conversations and messages. No foreign keys on the accept path: the head of the contact is what holds them together, and
-- the eraser goes by the catalogue.

create table conversations (
  tenant_id          uuid            not null,
  conversation_id    conversation_id not null,
  contact_id         contact_id      not null,
  subject_id         subject_id      not null,
  channel            smallint        not null,
  status             smallint        not null,
  assigned_member_id uuid,
  created_at         timestamptz     not null,
  -- When the last message came, late by at most a minute: so the list's index is touched once a minute and
  -- conversation, not by each message. Lists order by the last message itself.
  listed_at          timestamptz     not null,
  version            bigint          not null,  -- counts changes of status and assignment, for If-Match
  seq                bigint          not null,  -- the contact's sequence when the conversation itself last changed
  primary key (tenant_id, conversation_id)
);
create index conversations_listed on conversations (tenant_id, status, listed_at desc, conversation_id);
create index conversations_contact on conversations (tenant_id, contact_id, conversation_id);
call protect('conversations');

-- The unit secret of a conversation and month.
create table conversation_units (
  tenant_id       uuid            not null,
  unit_id         uuid            not null,
  conversation_id conversation_id not null,
  month           date            not null,
  primary key (tenant_id, unit_id),
  unique (tenant_id, conversation_id, month)
);
call protect('conversation_units');

create table messages (
  tenant_id       uuid            not null,
  message_id      uuid            not null,
  conversation_id conversation_id not null,
  accepted_seq    bigint          not null,  -- the contact's sequence when it was accepted: the order of the conversation
  seq             bigint          not null,  -- the contact's sequence when it last changed
  version         integer         not null,  -- counts edits; the seal version of the text
  direction       smallint        not null,  -- 1 inbound, 2 outbound
  member_id       uuid,                      -- who wrote an outbound one
  created_at      timestamptz     not null,
  edited_at       timestamptz,
  deleted_at      timestamptz,
  text            bytea,                     -- sealed; its header names subject and unit; null when deleted
  primary key (tenant_id, message_id)
);
alter table messages alter column text set storage external, alter column text set statistics 0;
create unique index messages_conversation on messages (tenant_id, conversation_id, accepted_seq);
call protect('messages');
