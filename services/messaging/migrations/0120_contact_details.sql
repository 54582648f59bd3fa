-- What else a contact has: a picture; and the tenant's labels, whose ids contacts carry in their sealed profile and
-- conversations in the clear.

create table contact_pictures (
  tenant_id  uuid       not null,
  contact_id contact_id not null,
  media_type smallint   not null check (media_type between 1 and 3),  -- PNG, JPEG, WebP
  picture    bytea      not null,  -- sealed under the profile's unit
  version    integer    not null,  -- the contact's version when it was set, and the seal version
  primary key (tenant_id, contact_id)
);
alter table contact_pictures alter column picture set storage external, alter column picture set statistics 0;
call protect('contact_pictures');

-- Configuration, like the tenant's own name: in the clear.
create table labels (
  tenant_id  uuid        not null,
  label_id   uuid        not null,
  name       text        not null,
  colour     text        not null,
  version    bigint      not null,
  created_at timestamptz not null,
  primary key (tenant_id, label_id)
);
create unique index labels_name on labels (tenant_id, lower(name));
call protect('labels');

alter table conversations add column label_ids uuid[] not null default '{}';

-- What creates a label or an import is about no contact.
alter table idempotency alter column contact_id drop not null;
