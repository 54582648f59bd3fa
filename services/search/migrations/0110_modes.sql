-- A fence is around a contact, or around conversations of one who lives on.
alter table fences add column part boolean not null default false;
alter table fences add column conversations uuid[] not null default '{}';
create index fences_conversations on fences using gin (conversations) where part;
