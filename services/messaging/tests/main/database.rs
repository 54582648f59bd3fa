//! What a person would otherwise have to remember about the SQL: that every statement fits the schema, and that every
//! column that says whose a row is has an eraser.

use std::{collections::BTreeSet, fs, path::Path};

use lethe_messaging::ERASERS;
use lethe_service::Database;
use sqlx::{AssertSqlSafe, Executor, Row, SqlSafeStr};

use crate::stage::Stage;

/// The string literals of a Rust source that are SQL.
fn statements(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices('"') {
        let rest = &source[at + 1..];
        let begins =
            ["select ", "insert ", "update ", "delete ", "with "].iter().any(|verb| rest.starts_with(verb));
        if let Some(end) = rest.find('"').filter(|_| begins) {
            found.push(rest[..end].to_owned());
        }
    }
    found
}

fn sources(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(fs::read_to_string(path).unwrap());
        }
    }
}

#[tokio::test]
async fn every_statement_fits_the_schema() {
    let stage = Stage::new().await;
    let db = Database::connect("messaging", &stage.database).await.unwrap();
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let all: BTreeSet<String> = files.iter().flat_map(|file| statements(file)).collect();
    assert!(all.len() > 40, "{} statements were found", all.len());
    let mut tx = db.tenant(stage.tenant).await.unwrap();
    // The verifier's one statement over names from the catalogue is run by its own tests.
    for statement in all.iter().filter(|statement| !statement.contains('{')) {
        let prepared = (&mut *tx).prepare(AssertSqlSafe(statement.as_str()).into_sql_str()).await;
        assert!(prepared.is_ok(), "{statement}: {:?}", prepared.err());
    }
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
