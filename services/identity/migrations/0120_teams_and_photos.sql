-- Teams, and members' photos.

-- A team's name is a word for a group, like the tenant's own: clear.
create table teams (
  tenant_id  uuid        not null references tenants,
  team_id    uuid        not null,
  name       text        not null,
  version    bigint      not null default 1,
  created_at timestamptz not null,
  primary key (tenant_id, team_id)
);
create unique index teams_name on teams (tenant_id, lower(name));
create index teams_created on teams (tenant_id, created_at, team_id);
call protect('teams');

create table team_members (
  tenant_id uuid        not null,
  team_id   uuid        not null,
  member_id uuid        not null,
  added_at  timestamptz not null,
  primary key (tenant_id, team_id, member_id),
  foreign key (tenant_id, team_id) references teams on delete cascade,
  foreign key (tenant_id, member_id) references members on delete cascade
);
create index team_members_member on team_members (tenant_id, member_id, team_id);
call protect('team_members');

-- A photo has a secret of its own, so that it can go for good while the profile stays.
create table member_photos (
  tenant_id  uuid        not null,
  member_id  uuid        not null,
  photo_id   uuid        not null,                -- another one for each photo that was ever set: its tag
  unit_id    uuid        not null,
  media_type text        not null,
  photo      bytea       not null,                -- sealed
  set_at     timestamptz not null,
  primary key (tenant_id, member_id),
  unique (tenant_id, unit_id),
  foreign key (tenant_id, member_id) references members on delete cascade
);
-- What is sealed does not compress.
alter table member_photos alter column photo set storage external;
call protect('member_photos');

-- Secrets of units whose rows are gone, until the keystore has destroyed them.
create table retired_units (
  tenant_id  uuid        not null,
  unit_id    uuid        not null,
  cause      uuid        not null,                -- what the keystore's tombstone will say
  retired_at timestamptz not null,
  primary key (tenant_id, unit_id)
);
create index retired_units_retired on retired_units (retired_at);
call protect('retired_units');
call protect_due('retired_units', array['tenant_id', 'unit_id', 'retired_at']);
