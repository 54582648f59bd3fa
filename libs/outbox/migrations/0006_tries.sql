-- How often a consumer has begun with an event that came again. The bus counts deliveries, and an event is also delivered
-- again when a process was restarted while a store was away; that is no try, and makes no dead letter.
create table tries (
  tenant_id uuid        not null,
  consumer  text        not null,
  event_id  uuid        not null,
  tries     integer     not null,     -- beside the first delivery, which nobody counts until it comes again
  begun_at  timestamptz not null default now(),
  primary key (tenant_id, consumer, event_id)
);
create index tries_begun_at on tries using brin (begun_at);
call protect('tries');
call protect_due('tries', array['tenant_id', 'consumer', 'event_id', 'begun_at']);

do $$
begin
  execute format('create policy jobs_sweep on tries for delete to %I using (true)', service_role('jobs'));
  execute format('grant delete on tries to %I', service_role('jobs'));
end $$;
