-- What an inbox has beside messages: ratings, spam marks, bans, delivery states and read receipts.

alter table conversations
  add column resolutions integer  not null default 0,  -- how often it was resolved
  add column spam        smallint not null default 0,  -- 0 unmarked, 1 by the detector, 2 by a member, 3 cleared by a member
  add column spam_score  smallint not null default 0,  -- the detector's, when it marked
  add column read_seq    bigint   not null default 0,  -- accepted_seq of the last message that a member has read
  add column read_at     timestamptz;

-- Null: inbound, or outbound and queued: nobody has told of it yet.
alter table messages
  add column delivery     smallint,  -- DeliveryState
  add column sent_at      timestamptz,
  add column delivered_at timestamptz,
  add column read_at      timestamptz,
  add column failed_at    timestamptz,
  add column failure      text;      -- a code

-- One a resolution. It reaches its contact by the conversation, and the comment goes with the contact's secret.
create table ratings (
  tenant_id       uuid            not null,
  rating_id       uuid            not null,
  conversation_id conversation_id not null,
  resolution      integer         not null,
  stars           smallint        not null check (stars between 1 and 5),
  comment         bytea,          -- sealed under the conversation's month; null: none
  created_at      timestamptz     not null,
  primary key (tenant_id, rating_id)
);
alter table ratings alter column comment set storage external, alter column comment set statistics 0;
create unique index ratings_resolution on ratings (tenant_id, conversation_id, resolution);
create index ratings_created_at on ratings (tenant_id, created_at);
call protect('ratings');

create table contact_bans (
  tenant_id  uuid        not null,
  contact_id contact_id  not null,
  banned_at  timestamptz not null,
  primary key (tenant_id, contact_id)
);
call protect('contact_bans');

-- Addresses whose contacts begin banned, under the suppression key, and nothing else. It outlives the contact.
create table address_bans (
  tenant_id          uuid     not null,
  kind               smallint not null,  -- 1 phone, 2 e-mail
  mac                bytea    not null,
  key_version        integer  not null,
  normaliser_version integer  not null,
  primary key (tenant_id, mac)
);
alter table address_bans alter column mac set statistics 0;
call protect('address_bans');

-- A tenant without a row does not detect.
create table spam_settings (
  tenant_id uuid    not null,
  detect    boolean not null,
  version   bigint  not null,
  primary key (tenant_id)
);
call protect('spam_settings');

-- As accept_messages_v1, and what a banned contact says is refused: outcome 7. Bans are few: one probe for each inbound item
-- of a table that is nearly empty, and the items go to v1 as they came when there is none.
create function accept_messages_v2(
  tenants uuid[], contacts uuid[], conversation_ids uuid[], message_ids uuid[], outbound boolean[], members uuid[],
  times timestamptz[], key_macs uuid[], body_macs uuid[], texts bytea[], events bytea[], traces text[], touches boolean[])
returns table (outcome smallint, seq bigint, resource uuid) language plpgsql as $$
declare
  tenant uuid;
  banned boolean[];
begin
  for i in 1 .. cardinality(tenants) loop
    if tenants[i] is distinct from tenant then
      tenant := tenants[i];
      perform set_config('app.tenant', tenant::text, true);
    end if;
    banned[i] := not outbound[i] and exists (
      select from contact_bans b where b.tenant_id = tenant and b.contact_id = contacts[i]);
  end loop;
  if not (true = any (banned)) then
    return query select a.outcome, a.seq, a.resource
      from accept_messages_v1(tenants, contacts, conversation_ids, message_ids, outbound, members, times, key_macs,
                              body_macs, texts, events, traces, touches) a;
    return;
  end if;
  for i in 1 .. cardinality(tenants) loop
    if banned[i] then
      return query select 7::smallint, null::bigint, null::uuid;
    else
      return query select a.outcome, a.seq, a.resource
        from accept_messages_v1(tenants[i:i], contacts[i:i], conversation_ids[i:i], message_ids[i:i], outbound[i:i],
                                members[i:i], times[i:i], key_macs[i:i], body_macs[i:i], texts[i:i], events[i:i],
                                traces[i:i], touches[i:i]) a;
    end if;
  end loop;
end $$;
