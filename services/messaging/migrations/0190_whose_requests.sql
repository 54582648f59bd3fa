-- An erasure and a merge look for the requests of a contact: among those of all others of a week, if it were not for this. The
-- same contact is often in a row, so that the index stays small.
create index idempotency_contact on idempotency (tenant_id, contact_id);
