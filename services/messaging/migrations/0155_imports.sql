-- Imports in bulk. Nothing here says who a person is: what stood in a row is not kept, and the keys of rows, which a client makes
-- of whatever it likes, are MACs.

create table imports (
  tenant_id          uuid        not null,
  import_id          uuid        not null,
  state              smallint    not null default 1,  -- ImportState
  created_at         timestamptz not null,
  updated_at         timestamptz not null,            -- when it last took a chunk
  finished_at        timestamptz,
  next_chunk         integer     not null default 1,
  lines              bigint      not null default 0,
  imported           bigint      not null default 0,
  already_there      bigint      not null default 0,
  refused            bigint      not null default 0,
  -- The last chunk, which may come again.
  last_mac           uuid,
  last_imported      integer     not null default 0,
  last_already_there integer     not null default 0,
  last_refused       integer     not null default 0,
  primary key (tenant_id, import_id)
);
create index imports_open on imports (updated_at) where state = 1;
create index imports_ended on imports (finished_at) where state <> 1;
call protect('imports');
call protect_due('imports', array['tenant_id', 'import_id', 'state', 'updated_at', 'finished_at']);

-- The report: where, which field, why. Fields and codes are ours.
create table refused_rows (
  tenant_id uuid   not null,
  import_id uuid   not null,
  line      bigint not null,
  field     text   not null,
  code      text   not null,
  reason    text   not null,
  primary key (tenant_id, import_id, line)
);
call protect('refused_rows');

-- What came of a row's key, and which row it was: so one that comes again, after a crash or in another import, is known.
create table import_keys (
  tenant_id       uuid            not null,
  key_mac         uuid            not null,
  kind            smallint        not null check (kind between 1 and 3),  -- contact, conversation, message
  contact_id      contact_id      not null,
  conversation_id conversation_id not null,  -- nil: it is a contact's
  import_id       uuid            not null,
  line            bigint          not null,
  created_at      timestamptz     not null,
  primary key (tenant_id, key_mac)
);
create index import_keys_contact on import_keys (tenant_id, contact_id);
create index import_keys_conversation on import_keys (tenant_id, conversation_id);
create index import_keys_created_at on import_keys using brin (created_at);
call protect('import_keys');
call protect_due('import_keys', array['tenant_id', 'created_at']);

-- Keys whose contact or conversation was erased, until they would have been forgotten: an old export that is read again does
-- not bring a person back. They say nothing of whose they were.
create table gone_import_keys (
  tenant_id  uuid        not null,
  key_mac    uuid        not null,
  created_at timestamptz not null,
  primary key (tenant_id, key_mac)
);
create index gone_import_keys_created_at on gone_import_keys using brin (created_at);
call protect('gone_import_keys');
call protect_due('gone_import_keys', array['tenant_id', 'created_at']);
