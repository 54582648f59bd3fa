-- Whoever heard of a contact is told too when a part of it is erased (GDPR Art. 19): which conversations. Null: the whole contact.
-- Plain ids, as in fences: the receiver knows them.
alter table webhook_deliveries add column erased_conversations uuid[];
-- Those of a part that notices were laid down for. What a legal hold kept back is told of when it goes.
alter table fences add column told uuid[] not null default '{}';
