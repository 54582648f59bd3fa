-- Erasures of a part of a contact, and of a contact without its messages; legal holds.

-- Conversations that are fenced while the contact lives on stand where every writer looks first: no further row is read for
-- it. The list is of erased conversations and stays, as fences do.
alter table contact_head add column fenced_conversations uuid[] not null default '{}';

-- What a fence is around, and where its purge stands.
alter table fences add column mode smallint not null default 1;                -- lethe.erasure.v1.Mode
alter table fences add column conversations uuid[] not null default '{}';      -- of a part: which
alter table fences add column held uuid[] not null default '{}';               -- of them, those under a legal hold at the fence
alter table fences add column hold_subject uuid;                               -- whose secret they were re-sealed under
alter table fences add column heir uuid;                                       -- the anonymous contact that conversations are
alter table fences add column heir_subject uuid;                               -- moving to; null again when they have moved
alter table fences add column suppressed jsonb not null default '[]';          -- addresses put on the list, until it has purged

-- The unit that a conversation's month is being re-sealed under.
alter table conversation_units add column next_unit_id uuid;

-- Records that nothing may delete until the hold is released. It says whose they are by plain ids: it outlives the contact
-- of a held conversation, and goes with its release.
create table holds (
  tenant_id         uuid        not null,
  hold_id           uuid        not null,
  held_contact      uuid        not null,
  held_conversation uuid,                  -- null: all of the contact
  placed_at         timestamptz not null,
  primary key (tenant_id, hold_id)
);
create index holds_contact on holds (tenant_id, held_contact);
create index holds_conversation on holds (tenant_id, held_conversation);
call protect('holds');

-- As census_v1, of a part: `contact` null finds nothing by contact; with `keeps` the rows of conversations, which then are not
-- erased with the contact, are left out.
create function census_v2(tenant uuid, contact uuid, conversations uuid[], keeps boolean) returns table (kind text, row_id uuid)
language plpgsql stable as $$
declare
  tbl record;
begin
  for tbl in
    select c.relname,
           string_agg(format(case t.typname when 'contact_id' then '%I = $2' else '%I = any($3)' end, a.attname), ' or ') as test,
           (select k.attname from pg_index i
              join pg_attribute k on k.attrelid = c.oid and k.attnum = any (i.indkey) and k.attname <> 'tenant_id'
             where i.indrelid = c.oid and i.indisprimary) as key
      from pg_class c
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      join pg_type t on t.oid = a.atttypid and t.typname in ('contact_id', 'conversation_id')
     where c.relkind in ('r', 'p') and c.relnamespace = current_schema()::regnamespace and not c.relispartition
     group by c.oid, c.relname
    having not (keeps and bool_or(t.typname = 'conversation_id'))
  loop
    return query execute format('select %L::text, %I::uuid from %I where tenant_id = $1 and (%s)', tbl.relname, tbl.key, tbl.relname, tbl.test)
      using tenant, contact, conversations;
  end loop;
end $$;

-- As it was, and a fenced conversation is not there.
create or replace function accept_messages_v1(
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
       and not h.fenced and not (conversation_ids[i] = any (h.fenced_conversations)) and not (outbound[i] and (h.opted_out or h.restriction <> 0))
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
    values (tenant, message_ids[i], conversation_ids[i], accept_messages_v1.seq, accept_messages_v1.seq, 1,
            case when outbound[i] then 2 else 1 end, members[i], times[i], texts[i]);
    if touches[i] then
      update conversations c set listed_at = greatest(c.listed_at, times[i])
       where c.tenant_id = tenant and c.conversation_id = conversation_ids[i];
    end if;
    perform outbox_put_v1(tenant, contacts[i], accept_messages_v1.seq, 'messaging.message.changed', events[i], traces[i]);
    outcome := 0;
    return next;
  end loop;
end $$;
