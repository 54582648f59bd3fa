-- What members ask about their own data: to be erased (Art. 17), or that it is not used (Art. 21). What was said with it is sealed
-- under the member and goes with him; that it was asked and answered in time stays.
create table member_requests (
  tenant_id         uuid        not null,
  member_request_id uuid        not null,
  member_id         uuid        not null,
  kind              smallint    not null check (kind in (1, 2)),               -- a number of lethe.identity.v1.MemberRequestKind
  state             smallint    not null default 1 check (state in (1, 2, 3)), -- of MemberRequestState
  refusal           smallint,                                                  -- of MemberRequestRefusal
  received_at       timestamptz not null,
  due_at            timestamptz not null,                                      -- Art. 12(3)
  closed_at         timestamptz,
  closed_by         text,                                                      -- mem_… or key_…
  grounds           bytea,                                                     -- sealed
  answer            bytea,                                                     -- sealed
  primary key (tenant_id, member_request_id),
  check ((state = 1) = (closed_at is null) and (state = 1) = (closed_by is null)),
  check ((state = 3) = (refusal is not null)),
  foreign key (tenant_id, member_id) references members on delete cascade
);
create unique index member_requests_open on member_requests (tenant_id, member_id, kind) where state = 1;
create index member_requests_member on member_requests (tenant_id, member_id, received_at desc, member_request_id desc);
create index member_requests_due on member_requests (tenant_id, due_at, member_request_id);
call protect('member_requests');
