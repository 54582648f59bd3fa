-- A ban stands where every writer looks first, beside opt-out and restriction.
alter table contact_head add column banned boolean not null default false;
alter table contact_head no force row level security;
alter table contact_bans no force row level security;
update contact_head h set banned = true
  from contact_bans b where b.tenant_id = h.tenant_id and b.contact_id = h.contact_id;
alter table contact_head force row level security;
drop function accept_messages_v2;
drop function accept_messages_v1;
drop table contact_bans;

-- Accepts all messages that wait at the moment, of any tenants, in one call. The items come sorted by tenant and contact, so
-- that calls meeting each other lock heads in the same order. A loop of plain statements: measured faster than statements
-- over sets, and an item's refusal is its outcome, not the call's failure.
--
-- Outcomes: 0 accepted, 1 replayed (`resource`), 2 the key came with another body, 3 what the key made is gone,
-- 4 no such contact (or it or the conversation is fenced), 5 opted out, 6 restricted, 7 banned. A request that came before
-- is answered as it was then, whatever the contact may do now.
create function accept_messages_v3(
  tenants uuid[], contacts uuid[], conversation_ids uuid[], message_ids uuid[], outbound boolean[], members uuid[],
  times timestamptz[], key_macs uuid[], body_macs uuid[], texts bytea[], events bytea[], traces text[], touches boolean[])
returns table (outcome smallint, seq bigint, resource uuid) language plpgsql as $$
declare
  tenant uuid;
  known  idempotency%rowtype;
  head   contact_head%rowtype;
  fenced boolean;
begin
  for i in 1 .. cardinality(tenants) loop
    if tenants[i] is distinct from tenant then
      tenant := tenants[i];
      perform set_config('app.tenant', tenant::text, true);
    end if;
    resource := null;
    update contact_head h set seq = h.seq + 1
     where h.tenant_id = tenant and h.contact_id = contacts[i]
       and not h.fenced and not (conversation_ids[i] = any (h.fenced_conversations))
       and not case when outbound[i] then h.opted_out or h.restriction <> 0 else h.banned end
    returning h.seq into seq;
    if not found then
      -- A refused item; but one that came before answers what it made then.
      select * into known from idempotency k where k.tenant_id = tenant and k.key_mac = key_macs[i];
      select * into head from contact_head h where h.tenant_id = tenant and h.contact_id = contacts[i];
      fenced := head.contact_id is null or head.fenced or conversation_ids[i] = any (head.fenced_conversations);
      outcome := case
        when known.key_mac is not null and known.body_mac <> body_macs[i] then 2
        when known.key_mac is not null and fenced then 3
        when known.key_mac is not null then 1
        when exists (select from gone_keys g where g.tenant_id = tenant and g.key_mac = key_macs[i]) then 3
        when fenced then 4
        when not outbound[i] then 7
        when head.restriction <> 0 then 6
        else 5 end;
      if outcome = 1 then
        resource := known.resource_id;
      end if;
      seq := null;
      return next;
      continue;
    end if;
    if key_macs[i] is not null then
      insert into idempotency (tenant_id, key_mac, body_mac, contact_id, resource_id, created_at)
      select tenant, key_macs[i], body_macs[i], contacts[i], message_ids[i], times[i]
       where not exists (select from gone_keys g where g.tenant_id = tenant and g.key_mac = key_macs[i])
      on conflict do nothing;
      if not found then
        -- Nothing changed after all: the sequence goes back, under the lock that the count took.
        update contact_head h set seq = h.seq - 1 where h.tenant_id = tenant and h.contact_id = contacts[i];
        select * into known from idempotency k where k.tenant_id = tenant and k.key_mac = key_macs[i];
        -- No row, and yet not to be had: what the key made was erased.
        outcome := case when known.key_mac is null then 3 when known.body_mac = body_macs[i] then 1 else 2 end;
        resource := case when outcome = 1 then known.resource_id end;
        seq := null;
        return next;
        continue;
      end if;
    end if;
    insert into messages (tenant_id, message_id, conversation_id, accepted_seq, seq, version, direction, member_id, created_at, text)
    values (tenant, message_ids[i], conversation_ids[i], accept_messages_v3.seq, accept_messages_v3.seq, 1,
            case when outbound[i] then 2 else 1 end, members[i], times[i], texts[i]);
    if touches[i] then
      update conversations c set listed_at = greatest(c.listed_at, times[i])
       where c.tenant_id = tenant and c.conversation_id = conversation_ids[i];
    end if;
    perform outbox_put_v1(tenant, contacts[i], accept_messages_v3.seq, 'messaging.message.changed', events[i], traces[i]);
    outcome := 0;
    return next;
  end loop;
end $$;
