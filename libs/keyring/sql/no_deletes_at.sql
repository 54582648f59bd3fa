-- Nothing ever said when a KMS key goes: that is the shred bound's, from the epoch's beginning.
alter table epochs drop column deletes_at;
