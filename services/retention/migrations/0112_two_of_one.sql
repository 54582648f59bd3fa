-- Two contacts whose erasures were asked for, and who were merged meanwhile, are one person with two erasures: each has its fence,
-- else one would wait for the other, which waits for it.
drop index fences_contact;
create index fences_contact on fences (tenant_id, contact_id);
