-- An erasure reaches all of a contact, or a part of it.
alter table erasures drop constraint erasures_mode_check;
alter table erasures add constraint erasures_mode_check
  check (mode in ('everything', 'conversation', 'contact_only', 'email'));
alter table erasures add column conversation_id conversation_id;  -- of mode conversation; null once this service has purged
alter table erasures add column suppress boolean not null default false;

-- One open erasure of a contact as a whole, and beside it one of its e-mail and one of each conversation: a person's right
-- to everything never waits for the end of a part.
drop index erasures_open;
create unique index erasures_open on erasures (
    tenant_id, contact_id,
    (case mode when 'contact_only' then 'everything' else mode end),
    (coalesce(conversation_id::uuid, '00000000-0000-0000-0000-000000000000')))
  where state not in ('certified', 're_verified', 'cancelled');

-- A fence is around a contact, a conversation of it, or its e-mail of a moment. After the second certificate one around a
-- contact or a conversation is its bare id, and one around e-mail is gone: there is nothing that could be asked for again.
alter table fences drop constraint fences_pkey;
alter table fences add column fence_id uuid not null default gen_random_uuid();
alter table fences alter column fence_id drop default;
alter table fences add primary key (tenant_id, fence_id);
alter table fences alter column contact_id drop not null;
alter table fences add column mode text not null default 'everything'
  check (mode in ('everything', 'conversation', 'contact_only', 'email'));
alter table fences alter column mode drop default;
alter table fences add column conversation_id conversation_id;
create unique index fences_contact on fences (tenant_id, contact_id) where mode in ('everything', 'contact_only');
create unique index fences_conversation on fences (tenant_id, conversation_id) where conversation_id is not null;
