-- Whoever heard of a contact is told too when a part of it is erased (GDPR Art. 19): which conversations, whether or not it heard
-- of each. Plain ids, as in fences. Null: the whole contact.
alter table webhook_deliveries add column erased_conversations uuid[];
-- Those of a part that notices were laid down for. What a legal hold kept back is told of when it goes.
alter table fences add column noticed uuid[] not null default '{}';
