-- What every service's database begins with: ids about a person have types of their own, which the census, the eraser and
-- the verifier enumerate; and one procedure puts a table under row-level security in the same way everywhere.
-- Runs as <service>_owner. The other roles of the service: _app (one tenant), _jobs (due rows), _verify (select only).

create domain contact_id as uuid;
create domain conversation_id as uuid;
create domain subject_id as uuid;

-- 'app' -> '<service>_app', by the name of whoever migrates.
create function service_role(kind text) returns text language plpgsql stable as $$
begin
  if current_user !~ '_owner$' then
    raise exception 'migrations run as <service>_owner, not as %', current_user;
  end if;
  return regexp_replace(current_user, 'owner$', kind);
end $$;

-- Rows of one tenant: the app role sees and writes those of the tenant that its transaction names, the verifier reads all.
create procedure protect(tbl regclass) language plpgsql as $$
declare
  mine constant text := $sql$tenant_id = nullif(current_setting('app.tenant', true), '')::uuid$sql$;
begin
  execute format('alter table %s enable row level security', tbl);
  execute format('alter table %s force row level security', tbl);
  execute format('create policy tenant on %s for all to %I using (%s) with check (%s)',
                 tbl, service_role('app'), mine, mine);
  execute format('create policy verify on %s for select to %I using (true)', tbl, service_role('verify'));
  execute format('grant select, insert, update, delete on %s to %I', tbl, service_role('app'));
  execute format('grant select on %s to %I', tbl, service_role('verify'));
end $$;

-- Beyond `protect`: the jobs role reads these columns of all tenants, to find what is due.
create procedure protect_due(tbl regclass, columns text[]) language plpgsql as $$
begin
  execute format('create policy due on %s for select to %I using (true)', tbl, service_role('jobs'));
  execute format('grant select (%s) on %s to %I',
                 (select string_agg(quote_ident(c), ', ') from unnest(columns) c), tbl, service_role('jobs'));
end $$;
