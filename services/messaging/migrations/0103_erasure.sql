-- What is fenced, and the census of it. A fence outlives the contact and every backup; its id of the contact is therefore
-- no column of the type contact_id.
create table fences (
  tenant_id     uuid        not null,
  scope_id      uuid        not null,
  erasure_id    uuid        not null,
  erased        uuid        not null,           -- the contact
  fenced_at     timestamptz not null,
  census        bytea       not null,           -- sealed under the erasure's own key
  census_digest bytea       not null,
  tallies       jsonb       not null,           -- counts by store and kind when it was fenced
  evidence      jsonb       not null default '[]',
  shredded_by   timestamptz,                    -- until then an old page of the keystore may still open a destroyed secret
  purged_at     timestamptz,
  primary key (tenant_id, scope_id)
);
alter table fences alter column census set storage external, alter column census set statistics 0;
create index fences_erased on fences (tenant_id, erased);
call protect('fences');

-- Every row of a contact as the catalogue finds it: whatever has a column of the type contact_id or conversation_id,
-- named by its table and by the one UUID that keys it beside the tenant.
create function census_v1(tenant uuid, contact uuid) returns table (kind text, row_id uuid)
language plpgsql stable as $$
declare
  tbl           record;
  conversations uuid[];
begin
  select coalesce(array_agg(c.conversation_id::uuid), '{}') into conversations
    from conversations c where c.tenant_id = tenant and c.contact_id = contact;
  for tbl in
    select c.relname,
           string_agg(format(case t.typname when 'contact_id' then '%I = $2' else '%I = any($3)' end, a.attname), ' or ') as test,
           (select k.attname from pg_index i
              join pg_attribute k on k.attrelid = c.oid and k.attnum = any (i.indkey) and k.attname <> 'tenant_id'
             where i.indrelid = c.oid and i.indisprimary) as key
      from pg_class c
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      join pg_type t on t.oid = a.atttypid and t.typname in ('contact_id', 'conversation_id')
     where c.relkind in ('r', 'p') and c.relnamespace = current_schema()::regnamespace and not c.relispartition
     group by c.oid, c.relname
  loop
    return query execute format('select %L::text, %I::uuid from %I where tenant_id = $1 and (%s)', tbl.relname, tbl.key, tbl.relname, tbl.test)
      using tenant, contact, conversations;
  end loop;
end $$;
