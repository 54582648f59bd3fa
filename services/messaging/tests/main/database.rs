//! What a person would otherwise have to remember about the SQL: that every statement fits the schema, and that every
//! column that says whose a row is has an eraser.

use std::collections::BTreeSet;

use lethe_messaging::{CONTACTS_MESSAGES, ERASERS, MOVERS, NAMED_MESSAGES};
use lethe_service::Migration;
use lethe_testkit::Databases;
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

use crate::stage::Stage;

#[tokio::test]
async fn every_statement_fits_the_schema() {
    let stage = Stage::new().await;
    lethe_testkit::every_statement_fits(env!("CARGO_MANIFEST_DIR"), &stage.database, 40).await;
}

#[tokio::test]
async fn every_column_of_an_id_of_a_person_has_an_eraser() {
    let stage = Stage::new().await;
    let mut db = stage.superuser().await;
    let columns = "select table_name::text as tbl, column_name::text as name, domain_name::text as domain
                     from information_schema.columns
                    where table_schema = 'public' and domain_name in ('contact_id', 'conversation_id', 'subject_id')";
    let rows = sqlx::query(columns).fetch_all(&mut db).await.unwrap();
    let erased: BTreeSet<(String, String)> = ERASERS
        .iter()
        .flat_map(|eraser| {
            eraser.columns.iter().map(|column| (eraser.table.to_owned(), (*column).to_owned()))
        })
        .collect();
    let (mut there, mut of_subjects) = (BTreeSet::new(), BTreeSet::new());
    for row in rows {
        let (table, name): (String, String) = (row.get("tbl"), row.get("name"));
        if row.get::<&str, _>("domain") == "subject_id" {
            of_subjects.insert(table);
        } else {
            there.insert((table, name));
        }
    }
    assert_eq!(there, erased, "columns of contacts and conversations, and what the eraser knows");
    // What is a contact's becomes the survivor's when it is merged: all but `conversations`, which are told of one by one.
    let of_contacts =
        there.iter().filter(|(_, column)| column == "contact_id").map(|(table, _)| table.as_str());
    let moved: BTreeSet<&str> = MOVERS.iter().map(|mover| mover.table).chain(["conversations"]).collect();
    assert_eq!(of_contacts.collect::<BTreeSet<_>>(), moved, "tables of contacts, and what a merge knows");
    // A row with a subject goes with its contact: it says which.
    for table in of_subjects {
        assert!(there.iter().any(|(tbl, _)| *tbl == table), "{table}");
    }
    // And each of these tables is keyed by the tenant and one UUID, by which the census names its rows.
    for table in erased.iter().map(|(table, _)| table) {
        let key: Vec<String> = sqlx::query_scalar(
            "select format_type(a.atttypid, null) from pg_index i
               join unnest(i.indkey::smallint[]) with ordinality as k (attnum, place) on true
               join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
              where i.indrelid = $1::regclass and i.indisprimary order by k.place",
        )
        .bind(table)
        .fetch_all(&mut db)
        .await
        .unwrap();
        assert!(
            key.len() == 2
                && key[0] == "uuid"
                && ["uuid", "contact_id", "conversation_id", "subject_id"].contains(&key[1].as_str()),
            "{table}: {key:?}"
        );
    }
}

/// The erasure of a whole person, and a merge, read nothing that is somebody else's.
#[tokio::test]
async fn rows_of_a_person_are_found_by_an_index() {
    let stage = Stage::new().await;
    let mut db = stage.superuser().await;
    sqlx::query("set enable_seqscan = off").execute(&mut db).await.unwrap();
    let id = format!("'{}'::uuid", Uuid::from_u128(1));
    let ids = format!("array[{id}]");
    let erasers = ERASERS.iter().map(|eraser| (eraser.table, eraser.statement.replace("$2", &ids)));
    let movers =
        MOVERS.iter().map(|mover| (mover.table, mover.statement.replace("$2", &id).replace("$3", &id)));
    for (table, statement) in erasers.chain(movers) {
        let explained = format!("explain {}", statement.replace("$1", &id).replace("$3", "1"));
        let plan: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(explained)).fetch_all(&mut db).await.unwrap();
        let by_whom = |line: &String| {
            line.contains("Index Cond") && (line.contains("contact_id") || line.contains("conversation_id"))
        };
        assert!(plan.iter().any(by_whom), "{table}:\n{}", plan.join("\n"));
    }
}

/// A table that nobody has counted yet is the usual one after a restore, and in a tenant's first minute.
#[tokio::test]
async fn no_more_messages_are_read_than_asked_for_without_statistics_too() {
    let stage = Stage::new().await;
    let mut db = stage.superuser().await;
    for statement in [
        "insert into contact_head (tenant_id, contact_id, seq, opted_out, restriction)
         select $1, md5('c' || c)::uuid, 1, false, 0 from generate_series(1, 16) c",
        "insert into conversations (tenant_id, conversation_id, contact_id, subject_id, channel, status, created_at,
                                    listed_at, version, seq)
         select $1, md5('v' || c)::uuid, md5('c' || c)::uuid, gen_random_uuid(), 1, 1, now(), now(), 1, 1
           from generate_series(1, 16) c",
        "insert into messages (tenant_id, message_id, conversation_id, accepted_seq, seq, version, direction, created_at, text)
         select $1, md5('m' || m)::uuid, md5('v' || (m % 16 + 1))::uuid, m, m, 1, 1, now(), repeat('x', 300)::bytea
           from generate_series(1, 4000) m",
    ] {
        sqlx::query(statement).bind(Uuid::nil()).execute(&mut db).await.unwrap();
    }
    let of = |statement| {
        AssertSqlSafe(format!("explain (analyze, costs off, timing off, buffers off) {statement}"))
    };
    let ids: Vec<Uuid> =
        sqlx::query_scalar("select message_id from messages limit 200").fetch_all(&mut db).await.unwrap();
    let named = sqlx::query_scalar(of(NAMED_MESSAGES)).bind(Uuid::nil()).bind(ids);
    let plan: Vec<String> = named.fetch_all(&mut db).await.unwrap();
    let read: Vec<&String> = plan.iter().filter(|line| line.contains("Scan using")).collect();
    let is_by_key = |line: &&String| line.contains("_pkey") && line.contains("actual rows=1.00 ");
    assert!(read.len() == 3 && read.iter().all(is_by_key), "{}", plan.join("\n"));

    let contact: Uuid = sqlx::query_scalar("select md5('c7')::uuid").fetch_one(&mut db).await.unwrap();
    for (fenced, messages) in [(false, 201), (true, 0)] {
        let fence = sqlx::query("update contact_head set fenced = $1 where contact_id = $2");
        fence.bind(fenced).bind(contact).execute(&mut db).await.unwrap();
        let of_contact = sqlx::query_scalar(of(CONTACTS_MESSAGES)).bind(Uuid::nil()).bind(contact);
        let of_contact = of_contact.bind(Uuid::nil()).bind(0_i64).bind(201_i64);
        let plan: Vec<String> = of_contact.fetch_all(&mut db).await.unwrap();
        let first = format!("(actual rows={messages}.00 loops=1)");
        assert!(plan[0].ends_with(&first), "{}", plan.join("\n"));
        let of_messages = plan.iter().find(|line| line.contains("on messages")).unwrap();
        let read = of_messages.contains("rows=201.00 loops=1") || of_messages.contains("never executed");
        assert!(read, "{}", plan.join("\n"));
    }
}

/// Of a database with people in it: who was banned is so still, each tenant's, and nobody else.
#[tokio::test]
async fn a_ban_of_before_stands_in_the_head_after_the_migration() {
    let (all, ban) = (lethe_messaging::migrations(), 170);
    let before: Vec<Migration> = all.iter().filter(|step| step.version < ban).copied().collect();
    let database = Databases::fresh("messaging", &before).await;
    let mut db = Databases::superuser(&database).await;
    let people = "insert into contact_head (tenant_id, contact_id, seq, opted_out, restriction)
                  select t, c, 1, false, 0 from unnest(array[$1, $2]) t, unnest(array[$3, $4]) c";
    let [one, other, ada, maud] = [1, 2, 3, 4].map(Uuid::from_u128);
    sqlx::query(people).bind(one).bind(other).bind(ada).bind(maud).execute(&mut db).await.unwrap();
    let banned = "insert into contact_bans values ($1, $2, now()), ($3, $4, now())";
    sqlx::query(banned).bind(one).bind(ada).bind(other).bind(maud).execute(&mut db).await.unwrap();

    lethe_service::migrate("messaging", &database, &all).await.unwrap();
    let banned: Vec<(Uuid, Uuid)> =
        sqlx::query_as("select tenant_id, contact_id::uuid from contact_head where banned order by 1")
            .fetch_all(&mut db)
            .await
            .unwrap();
    assert_eq!(banned, [(one, ada), (other, maud)]);
}

#[tokio::test]
async fn nothing_sealed_has_statistics_or_is_compressed() {
    let stage = Stage::new().await;
    let mut db = stage.superuser().await;
    let loose: Vec<String> = sqlx::query_scalar(
        "select c.relname || '.' || a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
          where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and a.atttypid = 'bytea'::regtype
            and a.attnum > 0 and c.relname not like 'outbox%' and c.relname not in ('migrations', 'dead_letters')
            and (a.attstattarget is distinct from 0 or (a.attstorage <> 'e' and a.attname not like '%mac' and a.attname <> 'census_digest'))
            and a.attname <> 'census_digest'",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    assert!(loose.is_empty(), "{loose:?}");
}
