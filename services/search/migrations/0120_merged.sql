-- A person may have been several contacts, which were merged: the fence is around all of their ids.
alter table fences add column others uuid[] not null default '{}';
create index fences_others on fences using gin (others);
