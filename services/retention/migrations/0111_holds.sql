-- Legal holds: what nothing may delete, why, and until when. Whose it is stands here as long as it is somebody's: an erasure
-- takes it out, and the hold stays on record.
create table holds (
  tenant_id       uuid        not null,
  hold_id         uuid        not null,
  contact_id      contact_id,
  conversation_id conversation_id,
  reason          text        not null,
  case_reference  text        not null,
  ends_at         timestamptz not null,
  state           text        not null check (state in ('placing', 'active', 'releasing', 'released')),
  placed_by       uuid        not null,
  placed_at       timestamptz not null,
  released_by     uuid,                   -- null: its end came
  released_at     timestamptz,
  idempotency_key text        not null,
  next_attempt_at timestamptz,            -- due: its end, or the next try; null once released
  primary key (tenant_id, hold_id),
  unique (tenant_id, idempotency_key)
);
call protect('holds');
call protect_due('holds', array['tenant_id', 'hold_id', 'next_attempt_at']);
create index holds_due on holds (next_attempt_at) where next_attempt_at is not null;
create index holds_by_time on holds (tenant_id, placed_at desc, hold_id desc);

-- Something of it is under a legal hold: when one is released, it is looked at again.
alter table erasures add column held boolean not null default false;
