-- A hold that was released stays for a month as an id that can not be placed any more: whoever asked to place it may come
-- after whoever asked to release it, and whoever released it may ask again what was said.
alter table holds alter column held_contact drop not null;                     -- null: released
alter table holds add column released_at timestamptz;
alter table holds add column being_erased boolean not null default false;     -- at the release: was it waited for
create index holds_released_at on holds (released_at) where released_at is not null;
call protect_due('holds', array['tenant_id', 'released_at']);
