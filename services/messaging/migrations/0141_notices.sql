-- Notices of erasure (GDPR Art. 19): deliveries that are about a fence and about nobody. The contact's id, which the receiver
-- knows, stands in the fence and nowhere else.
alter table webhook_deliveries add column scope_id uuid;
create index webhook_deliveries_scope on webhook_deliveries (tenant_id, scope_id) where scope_id is not null;
