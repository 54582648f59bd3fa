-- A dead letter that was replayed is gone: nothing that names a contact stays when nobody needs it any more.
delete from dead_letters where replayed_at is not null;
alter table dead_letters drop column replayed_at;
