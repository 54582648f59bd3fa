-- Notices of an erasure say who was told of it: they are kept until its last certificate is signed, however long a legal hold
-- puts that off.
alter table webhook_deliveries add column is_kept boolean not null default false;
do $$ begin
  execute format('grant select (is_kept) on webhook_deliveries to %I', service_role('jobs'));
end $$;
