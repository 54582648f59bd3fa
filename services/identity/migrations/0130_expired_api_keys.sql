-- Keys that expired are swept as those that were revoked.

drop index api_keys_revoked;
create index api_keys_ended on api_keys (least(revoked_at, expires_at)) where least(revoked_at, expires_at) is not null;
do $$ begin
  execute format('grant select (expires_at) on api_keys to %I', service_role('jobs'));
end $$;
