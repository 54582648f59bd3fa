//! PostgreSQL: its raw files, where values lie compressed by pglz, dead rows and WAL; and its tables.

use std::{collections::BTreeSet, fs};

use lethe_leftovers::{Form, Search, Tokens};
use lethe_testkit::{Databases, servers};
use sqlx::{Executor as _, Row as _};

/// A compressible value of more than 2 KB with a token in it.
fn value(number: usize, token: &str) -> String {
    let mut text = String::new();
    for line in 0..40 {
        if line == 17 {
            text += token;
        }
        text += &format!(
            " line {line} of value {number}: some words that come again and again, {}",
            line * number
        );
    }
    text
}

fn tokens() -> Vec<(String, String)> {
    let entropy = lethe_ambient::Entropy::system();
    (0..200)
        .map(|number| (format!("t{number}"), format!("zq-{}", &entropy.uuid4().simple().to_string()[..20])))
        .collect()
}

#[tokio::test]
async fn two_hundred_compressed_values_are_found_in_the_raw_files_and_in_the_tables() {
    let config = Databases::fresh("leftovers", &[]).await;
    let mut connection = Databases::superuser(&config).await;
    connection.execute("create table notes (id integer, body text)").await.unwrap();
    connection.execute("create table bodies (id integer, body bytea)").await.unwrap();
    let tokens = tokens();
    for (number, (_, token)) in tokens.iter().enumerate() {
        let statement = if number % 2 == 0 {
            "insert into notes values ($1, $2)"
        } else {
            "insert into bodies values ($1, convert_to($2, 'UTF8'))"
        };
        sqlx::query(statement)
            .bind(number as i32)
            .bind(value(number, token))
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let compressed = sqlx::query("select count(*) from notes where pg_column_compression(body) = 'pglz'");
    assert_eq!(compressed.fetch_one(&mut connection).await.unwrap().get::<i64, _>(0), 100);
    connection.execute("analyze notes").await.unwrap();
    // The second half is dead.
    connection
        .execute("delete from notes where id >= 100; delete from bodies where id >= 100; checkpoint")
        .await
        .unwrap();

    let search = Search::new(&Tokens::new(tokens.clone()).unwrap());
    search.folder("files", &servers().await.data());
    let url = format!("{}/{}", servers().await.admin_url(), config.url.rsplit('/').next().unwrap());
    search.postgres("tables", &url).await.unwrap();
    let report = search.report();
    let mut forms = std::collections::BTreeMap::<Form, usize>::new();
    for (number, (label, _)) in tokens.iter().enumerate() {
        let by =
            |store: &str| report.of(label).filter(|finding| finding.place.store == store).collect::<Vec<_>>();
        let heap: Vec<_> =
            by("files").into_iter().filter(|finding| finding.place.path.starts_with("base/")).collect();
        let wal: Vec<_> =
            by("files").into_iter().filter(|finding| finding.place.path.starts_with("pg_wal/")).collect();
        assert!(!heap.is_empty(), "{label} in the heap");
        assert!(!wal.is_empty(), "{label} in the WAL");
        for finding in heap {
            *forms.entry(finding.form).or_default() += 1;
        }
        assert_eq!(by("tables").is_empty(), number >= 100, "{label} in the tables");
    }
    println!("in the heap: {forms:?}; looked at: {:?}", report.looked);
    assert!(report.looked.tables > 60 && report.looked.rows > 5000, "the catalogue too: {:?}", report.looked);
    assert_eq!(report.unread, []);
}

/// The first two pages of a segment of two pages, filled with `records`.
fn segment(records: &[u8]) -> Vec<u8> {
    let first =
        [&[0x18, 0xd1, 2, 0][..], &[0; 28], &16_384_u32.to_le_bytes(), &8_192_u32.to_le_bytes()].concat();
    let (one, two) = records.split_at(8_192 - first.len());
    [&first, one, &[0x18, 0xd1, 1, 0], &[0; 20], two].concat()
}

#[test]
fn what_a_page_header_of_the_wal_cuts_in_two_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = tokens();
    let in_one = 16_384 - 40 - 24;
    let mut records = vec![b'.'; 2 * in_one];
    // Over the end of the first page, of the first segment, and of the second one's first page.
    for ((_, token), seam) in tokens.iter().zip([8_192 - 40, in_one, in_one + 8_192 - 40]) {
        let from = seam - token.len() / 2;
        records[from..from + token.len()].copy_from_slice(token.as_bytes());
    }
    let (one, two) = records.split_at(in_one);
    fs::write(folder.path().join("0000000100000007000000FF"), segment(one)).unwrap();
    fs::write(folder.path().join("000000010000000700000100"), segment(two)).unwrap();

    let search = Search::new(&Tokens::new(tokens[..3].to_vec()).unwrap());
    search.folder("files", folder.path());
    let report = search.report();
    let found: BTreeSet<_> = report.findings.iter().map(|finding| finding.token.as_str()).collect();
    assert_eq!(found, BTreeSet::from(["t0", "t1", "t2"]));
}

#[tokio::test]
async fn every_column_of_every_kind_of_table_is_dumped() {
    let config = Databases::fresh("leftovers", &[]).await;
    let mut connection = Databases::superuser(&config).await;
    let entropy = lethe_ambient::Entropy::system();
    let token = || entropy.uuid4().simple().to_string();
    let names = [
        "text",
        "bytea",
        "jsonb",
        "array",
        "partition",
        "view",
        "statistics",
        "protected",
        "large",
        "row type",
        "gzip",
        "odd name",
    ];
    let planted: Vec<(String, String)> =
        names.iter().map(|name| ((*name).to_owned(), format!("zq{}", token()))).collect();
    let of = |name: &str| planted.iter().find(|(label, _)| label == name).unwrap().1.clone();
    let packed = {
        use std::io::Write as _;
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        out.write_all(of("gzip").repeat(3).as_bytes()).unwrap();
        out.finish().unwrap()
    };
    let statements = [
        format!("create table a (x text); insert into a values ('{}')", of("text")),
        format!("create table b (x bytea); insert into b values (convert_to('{}', 'UTF8'))", of("bytea")),
        format!(
            "create table c (x jsonb); insert into c values (jsonb_build_object('k', '{}'))",
            of("jsonb")
        ),
        format!("create table d (x text[]); insert into d values (array['a', '{}'])", of("array")),
        format!(
            "create table e (x text) partition by hash (x); create table e0 partition of e for values with (modulus 1, remainder 0); insert into e values ('{}')",
            of("partition")
        ),
        format!("create materialized view f as select '{}' as x", of("view")),
        format!(
            "create table g (x text); insert into g select '{}' from generate_series(1, 500); analyze g; delete from g",
            of("statistics")
        ),
        format!(
            "create table h (tenant_id uuid, x text); insert into h values (null, '{}'); alter table h enable row level security; alter table h force row level security",
            of("protected")
        ),
        format!("select lo_from_bytea(0, convert_to('{}', 'UTF8'))", of("large")),
        format!(
            "create type pair as (a text, b integer); create table i (x pair); insert into i values (row('{}', 1))",
            of("row type")
        ),
        "create table k (x bytea)".to_owned(),
        format!(
            "create schema \"o'd \"\"d\"; create table \"o'd \"\"d\".\"Ta\"\"ble\" (\"a b\" text); insert into \"o'd \"\"d\".\"Ta\"\"ble\" values ('{}')",
            of("odd name")
        ),
    ];
    for statement in statements {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    sqlx::query("insert into k values ($1)").bind(packed).execute(&mut connection).await.unwrap();

    let search = Search::new(&Tokens::new(planted.clone()).unwrap());
    let url = format!("{}/{}", servers().await.admin_url(), config.url.rsplit('/').next().unwrap());
    search.postgres("tables", &url).await.unwrap();
    let report = search.report();
    for (label, _) in &planted {
        assert!(report.of(label).next().is_some(), "{label}");
    }
    assert!(report.of("statistics").any(|finding| finding.place.path.contains("pg_statistic")));
    assert_eq!(report.unread, []);
}

#[tokio::test]
async fn a_database_that_cannot_be_entered_is_an_error() {
    let search = Search::new(&Tokens::default());
    assert!(search.postgres("tables", "postgres://nobody@127.0.0.1:1/none").await.is_err());
}
