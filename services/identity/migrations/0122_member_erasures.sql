-- Erasing a member who left.

-- How much of him is gone: a number of lethe.identity.v1.MemberErasureMode; 0 is nothing. The row itself stays, so that
-- what he did stays somebody's.
alter table members add column erased smallint not null default 0;

-- Written in the transaction that deletes the rows; what is then left to do is the keystore's, and the reading again.
create table member_erasures (
  tenant_id       uuid        not null,
  erasure_id      uuid        not null,
  member_id       uuid        not null,
  mode            smallint    not null check (mode in (1, 2)),
  subjects        uuid[]      not null,           -- whose secrets are to be destroyed
  units           uuid[]      not null,
  requested_by    text        not null,           -- mem_… or key_…
  requested_at    timestamptz not null,
  next_attempt_at timestamptz,                    -- null once it is done
  attempts        integer     not null default 0,
  erased_at       timestamptz,
  findings        jsonb       not null default '[]',
  primary key (tenant_id, erasure_id),
  unique (tenant_id, member_id, mode)
);
create index member_erasures_due on member_erasures (next_attempt_at) where next_attempt_at is not null;
call protect('member_erasures');
call protect_due('member_erasures', array['tenant_id', 'erasure_id', 'next_attempt_at']);
