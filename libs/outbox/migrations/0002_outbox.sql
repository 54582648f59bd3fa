-- The outbox, its relay's leases and positions, what consumers remember, and the incarnation. Version 2 of every database.

create table incarnation (
  one   boolean primary key default true check (one),
  value integer not null check (value > 0)
);
insert into incarnation (value) values (1);

-- Partitioned by time, dropped when 72 hours old. No primary key and one partial index, because each row is written
-- twice (put, marked) beside the accept path: event ids are unique by how they are made.
create table outbox (
  tenant_id    uuid        not null,
  event_id     uuid        not null,
  created_at   timestamptz not null,
  slot         smallint    not null,  -- hash(aggregate) % 16: who publishes it
  seq          bigint      not null,  -- the aggregate's sequence after the change
  kind         text        not null,
  payload      bytea       not null check (octet_length(payload) <= 8192),  -- protobuf, ids only, without its version
  trace_parent text,
  stream_no    integer,               -- the life of the stream it was published to, and where in it;
  stream_seq   bigint                 -- null until then
) partition by range (created_at);
create index outbox_pending on outbox (event_id) where stream_seq is null;
-- Takes what no partition was made for: an insert never fails for want of one.
create table outbox_default partition of outbox default;

call protect('outbox');
alter table outbox_default enable row level security;
alter table outbox_default force row level security;

-- One row a slot; whoever holds it publishes that slot's events. The token rises with each new holder.
create table outbox_slots (
  slot       smallint    primary key check (slot between 0 and 15),
  holder     uuid,
  token      bigint      not null default 0,
  expires_at timestamptz not null default '-infinity'
);
insert into outbox_slots (slot) select generate_series(0, 15);

-- The relays that are alive, so that each takes its share of the slots.
create table outbox_relays (
  holder     uuid        primary key,
  expires_at timestamptz not null
);

-- The lives of the stream. What was published after `kept_until` of an ended life is lost on the bus and is published again.
create table stream_positions (
  stream_no  integer primary key,
  identity   text    not null,           -- when NATS created the stream
  last_seq   bigint  not null,           -- the highest position that we know of
  kept_until bigint,                     -- null while it lives
  requeued   boolean not null default false
);

-- What a consumer gave up on. An operator sees it and replays it.
create table dead_letters (
  tenant_id    uuid        not null,
  consumer     text        not null,
  event_id     uuid        not null,
  kind         text        not null,
  payload      bytea       not null,
  trace_parent text,
  put_at       timestamptz not null,
  reason       text        not null,     -- a code
  attempts     integer     not null,
  died_at      timestamptz not null,
  replayed_at  timestamptz,
  primary key (tenant_id, consumer, event_id)
);
call protect('dead_letters');
call protect_due('dead_letters', array['tenant_id', 'consumer', 'event_id', 'kind', 'reason', 'attempts', 'died_at', 'replayed_at']);

-- Effects that must not double: noted in their own transaction.
create table inbox (
  tenant_id uuid        not null,
  consumer  text        not null,
  event_id  uuid        not null,
  seen_at   timestamptz not null default now(),
  primary key (tenant_id, consumer, event_id)
);
create index inbox_seen_at on inbox using brin (seen_at);
call protect('inbox');
call protect_due('inbox', array['tenant_id', 'consumer', 'event_id', 'seen_at']);

-- What the jobs role does across tenants: publish and mark, requeue, sweep. The app role only puts.
do $$
declare
  jobs text := service_role('jobs');
  app  text := service_role('app');
  ver  text := service_role('verify');
begin
  execute format('revoke select, update, delete on outbox from %I', app);
  execute format('create policy jobs on outbox for all to %I using (true) with check (true)', jobs);
  execute format('grant select, delete, update (stream_no, stream_seq) on outbox to %I', jobs);
  execute format('create policy jobs_sweep on inbox for delete to %I using (true)', jobs);
  execute format('grant delete on inbox to %I', jobs);
  execute format('grant select, update on outbox_slots to %I', jobs);
  execute format('grant select, insert, update, delete on outbox_relays to %I', jobs);
  execute format('grant select, insert, update on stream_positions to %I', jobs);
  execute format('grant select, update (value) on incarnation to %I', jobs);
  execute format('grant select on incarnation, stream_positions to %I, %I', app, ver);
end $$;

-- Puts one event into the caller's transaction. `trace` is the producer's W3C traceparent.
create function outbox_put_v1(tenant uuid, aggregate uuid, seq bigint, type text, payload bytea, trace text default null)
returns void language plpgsql as $$
begin
  insert into outbox (tenant_id, event_id, created_at, slot, seq, kind, payload, trace_parent)
  values (tenant, uuidv7(), now(), uuid_hash(aggregate) & 15, seq, type, payload, trace);
end $$;

-- Takes and renews leases: a relay holds its share of the 16 slots, gives back what is above it and takes what is free.
create function outbox_lease_v1(me uuid, ttl interval)
returns table (slot smallint, token bigint) language plpgsql as $$
declare
  share integer;
  held  integer;
begin
  insert into outbox_relays values (me, clock_timestamp() + ttl)
    on conflict (holder) do update set expires_at = excluded.expires_at;
  delete from outbox_relays r where r.expires_at < clock_timestamp() - interval '1 hour';
  select ceil(16.0 / count(*)) into share from outbox_relays r where r.expires_at > clock_timestamp();
  -- Relays that lease at the same moment wait for each other here, in the order of the slots.
  perform 1 from outbox_slots s order by s.slot for update;
  select count(*) into held from outbox_slots s where s.holder = me;
  if held > share then
    update outbox_slots s set holder = null, expires_at = '-infinity'
     where s.slot in (select o.slot from outbox_slots o where o.holder = me order by o.slot desc limit held - share);
  end if;
  update outbox_slots s set expires_at = clock_timestamp() + ttl where s.holder = me;
  if held < share then
    update outbox_slots s set holder = me, token = s.token + 1, expires_at = clock_timestamp() + ttl
     where s.slot in (select o.slot from outbox_slots o
                       where o.holder is distinct from me and o.expires_at < clock_timestamp()
                       order by o.slot limit share - held);
  end if;
  return query select s.slot, s.token from outbox_slots s where s.holder = me order by s.slot;
end $$;

-- Gives all leases back, so that another relay need not wait for their end.
create function outbox_release_v1(me uuid) returns void language plpgsql as $$
begin
  update outbox_slots set holder = null, expires_at = '-infinity' where holder = me;
  delete from outbox_relays where holder = me;
end $$;

-- The oldest events of these slots after `floor` that are not published, and the stream's position as of now. The floor
-- spares the scan the dead entries that a long transaction elsewhere keeps in the index. The settings keep the
-- plan on the partial index whatever the statistics say of a partition that was empty a moment ago.
create function outbox_claim_v1(slots smallint[], floor uuid, at_most integer)
returns table (tenant_id uuid, event_id uuid, created_at timestamptz, slot smallint, seq bigint, kind text, payload bytea, trace_parent text, known bigint)
language plpgsql stable set enable_seqscan = off set enable_bitmapscan = off as $$
declare
  position bigint := (select p.last_seq from stream_positions p order by p.stream_no desc limit 1);
begin
  return query
    select o.tenant_id, o.event_id, o.created_at, o.slot, o.seq, o.kind, o.payload, o.trace_parent, position
      from outbox o
     where o.stream_seq is null and o.slot = any (slots) and o.event_id > floor
     order by o.event_id
     limit at_most;
end $$;

-- How many events wait to be published; counts no further than `at_most`.
create function outbox_backlog_v1(at_most integer) returns integer
language plpgsql stable set enable_seqscan = off set enable_bitmapscan = off as $$
begin
  return (select count(*) from (select 1 from outbox o where o.stream_seq is null limit at_most) waiting);
end $$;

-- Marks what was published. `events` is in order, `positions` fits it, and all were put between `oldest` and `newest`. One
-- scan of the index and no join, so that no plan can go wrong. Refused as a whole (answer null) when the stream's life is
-- another by now; rows of a slot whose token is no longer ours are left to its new holder.
create function outbox_mark_v1(life integer, slots smallint[], tokens bigint[],
                               oldest timestamptz, newest timestamptz, events uuid[], positions bigint[])
returns integer language plpgsql set enable_seqscan = off set enable_bitmapscan = off as $$
declare
  marked integer;
  ours   smallint[];
begin
  update stream_positions p
     set last_seq = greatest(p.last_seq, (select max(x) from unnest(positions) x))
   where p.stream_no = life and p.kept_until is null;
  if not found then
    return null;
  end if;
  select coalesce(array_agg(s.slot), '{}') into ours
    from outbox_slots s join unnest(slots, tokens) as mine (slot, token) on s.slot = mine.slot and s.token = mine.token;
  update outbox o
     set stream_no = life, stream_seq = positions[width_bucket(o.event_id, events)]
   where o.created_at between oldest and newest and o.event_id = any (events)
     and o.stream_seq is null and o.slot = any (ours);
  get diagnostics marked = row_count;
  return marked;
end $$;

-- Begins a new life of the stream. `kept` is what survives of the present one: 0 when the stream is a new one.
-- Answers the life's number; another relay may have begun it already.
create function stream_begin_v1(was integer, identity text, kept bigint, at bigint)
returns integer language plpgsql as $$
declare
  now_no integer;
begin
  lock table stream_positions in share row exclusive mode;
  select max(stream_no) into now_no from stream_positions;
  if now_no is distinct from nullif(was, 0) then
    return now_no;
  end if;
  update stream_positions p set kept_until = least(coalesce(p.kept_until, p.last_seq), kept), requeued = false
   where p.kept_until is null or p.kept_until > kept;
  insert into stream_positions values (coalesce(now_no, 0) + 1, identity, at, null, false);
  return coalesce(now_no, 0) + 1;
end $$;

-- Makes partitions of 12 hours for a day ahead, with the owner's rights. A span whose rows already lie in the default
-- partition is left out: they are published from there. Waits for no lock for long: the next call tries again.
create function outbox_make_partitions_v1(at timestamptz default now()) returns integer
language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '500ms' as $$
declare
  width constant interval := '12 hours';
  low   timestamptz;
  name  text;
  made  integer := 0;
begin
  for i in 0..2 loop
    low  := date_bin(width, at, 'epoch') + i * width;
    name := 'outbox_' || to_char(low at time zone 'utc', 'YYYYMMDDHH24');
    continue when to_regclass(name) is not null;
    begin
      execute format('create table %I (like outbox including defaults including constraints)', name);
      execute format('alter table %I enable row level security', name);
      execute format('alter table %I force row level security', name);
      -- Dead entries of the partial index are in the way of every claim: vacuum early.
      execute format('alter table %I set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.5)', name);
      execute format('alter table outbox attach partition %I for values from (%L) to (%L)', name, low, low + width);
      made := made + 1;
    exception
      when check_violation or lock_not_available or deadlock_detected then null;
    end;
  end loop;
  return made;
end $$;

-- The partitions and their bounds; the default partition has none.
create function outbox_partitions_v1() returns table (partition regclass, low timestamptz, high timestamptz)
language sql stable as $$
  select c.oid::regclass,
         substring(pg_get_expr(c.relpartbound, c.oid) from $re$FROM \('([^']+)'$re$)::timestamptz,
         substring(pg_get_expr(c.relpartbound, c.oid) from $re$TO \('([^']+)'$re$)::timestamptz
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
   where i.inhparent = 'outbox'::regclass
$$;

-- Drops one partition that ended 72 hours ago, with the owner's rights. The caller has seen that all in it is published.
create function outbox_drop_partition_v1(victim regclass, at timestamptz default now()) returns boolean
language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '500ms' as $$
begin
  if not exists (select 1 from outbox_partitions_v1() p where p.partition = victim and p.high <= at - interval '72 hours') then
    return false;
  end if;
  execute format('drop table %s', victim);
  return true;
exception
  when lock_not_available or deadlock_detected then return false;
end $$;

do $$
begin
  revoke execute on function outbox_make_partitions_v1, outbox_drop_partition_v1 from public;
  execute format('grant execute on function outbox_make_partitions_v1, outbox_drop_partition_v1 to %I', service_role('jobs'));
end $$;
select outbox_make_partitions_v1();
