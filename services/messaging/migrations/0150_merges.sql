-- Contacts that turned out to be one person. What the merged one had is the survivor's; this row says so, and goes with the
-- survivor. It points to who is a contact now: where that one is merged in its turn, the row follows.
create table merged_contacts (
  tenant_id  uuid        not null,
  merged_id  uuid        not null,  -- the contact that was
  contact_id contact_id  not null,
  unit_id    uuid        not null,  -- of its profile: its consents are still sealed under that
  merged_at  timestamptz not null,
  primary key (tenant_id, merged_id)
);
create index merged_contacts_contact on merged_contacts (tenant_id, contact_id);
call protect('merged_contacts');

-- All ids of who is erased, the contact that it was last first; empty where there is one, which `erased` says.
alter table fences add column contacts uuid[] not null default '{}';

-- As census_v2, of all ids of a person; none finds nothing by contact.
create function census_v3(tenant uuid, contacts uuid[], conversations uuid[], keeps boolean) returns table (kind text, row_id uuid)
language plpgsql stable as $$
declare
  tbl record;
begin
  for tbl in
    select c.relname,
           string_agg(format(case t.typname when 'contact_id' then '%I = any($2)' else '%I = any($3)' end, a.attname), ' or ') as test,
           (select k.attname from pg_index i
              join pg_attribute k on k.attrelid = c.oid and k.attnum = any (i.indkey) and k.attname <> 'tenant_id'
             where i.indrelid = c.oid and i.indisprimary) as key
      from pg_class c
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      join pg_type t on t.oid = a.atttypid and t.typname in ('contact_id', 'conversation_id')
     where c.relkind in ('r', 'p') and c.relnamespace = current_schema()::regnamespace and not c.relispartition
     group by c.oid, c.relname
    having not (keeps and bool_or(t.typname = 'conversation_id'))
  loop
    return query execute format('select %L::text, %I::uuid from %I where tenant_id = $1 and (%s)', tbl.relname, tbl.key, tbl.relname, tbl.test)
      using tenant, contacts, conversations;
  end loop;
end $$;
