-- A person may have been several contacts, which were merged: the fence is around all of their ids.
alter table fences add column other_hashes bytea[] not null default '{}';
create index fences_others on fences using gin (other_hashes);
