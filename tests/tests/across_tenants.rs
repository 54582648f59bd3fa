//! What runs across tenants: every statement that PostgreSQL was asked as a `_jobs` or a `_verify` role, which row-level
//! security does not hold to one tenant. They stand in `across_tenants.txt`, read by a person; a new one fails.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Seek, SeekFrom},
};

use lethe_tests::{Talk, alone, erase, platform};
use sqlx::{Connection, PgConnection};

const LIST: &str = include_str!("across_tenants.txt");

#[tokio::test]
async fn every_statement_that_runs_across_tenants_is_listed() {
    let _alone = alone().await;
    let platform = platform();
    let urls = [("postgres", &platform.run.admin_url), ("keystore", &platform.run.keystore_admin_url)];
    let mut logs = Vec::new();
    for (store, url) in urls {
        let log = platform.folder.join(store).join("log");
        let from = fs::metadata(&log).expect("PostgreSQL writes a log").len();
        set(
            url,
            [
                "alter system set log_line_prefix = '%a|%u|'",
                "alter system set log_min_duration_statement = 0",
            ],
        )
        .await;
        logs.push((log, from));
    }

    let tenant = platform.tenant().await;
    let talk = Talk::begin(&tenant.owner, "live_chat").await;
    talk.receive("hello").await.ok();
    erase(&tenant.owner, &talk.contact).await;
    for (_, url) in urls {
        set(url, ["alter system reset log_line_prefix", "alter system reset log_min_duration_statement"])
            .await;
    }

    let listed: BTreeSet<String> =
        LIST.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let statements: BTreeSet<String> = logs.iter().flat_map(|(log, from)| asked(log, *from)).collect();
    assert!(statements.len() > 10, "{statements:?}");
    let new: Vec<&String> = statements.difference(&listed).collect();
    assert!(
        new.is_empty(),
        "not in across_tenants.txt:\n{}",
        new.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n")
    );
}

async fn set(url: &str, statements: [&'static str; 2]) {
    let mut admin = PgConnection::connect(&format!("{url}/postgres")).await.expect("a superuser");
    for statement in statements.into_iter().chain(["select pg_reload_conf()"]) {
        sqlx::query(statement).execute(&mut admin).await.expect("a setting");
    }
}

/// The statements of the two kinds of roles since the log was `from` bytes long, in one line each, without their literals.
fn asked(log: &std::path::Path, from: u64) -> BTreeSet<String> {
    let mut file = fs::File::open(log).expect("a log");
    file.seek(SeekFrom::Start(from)).expect("a place in it");
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).expect("a readable log");
    let text = String::from_utf8_lossy(&bytes);
    let mut found = BTreeSet::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        // Tests go in as these roles too, but only a service's connections say so by their name.
        let Some((role, rest)) =
            line.strip_prefix("lethe ").and_then(|line| line.split_once('|')?.1.split_once('|'))
        else {
            continue;
        };
        let across = role.ends_with("_jobs") || role.ends_with("_verify");
        let Some((_, asked_for)) = rest.split_once(" ms  ").filter(|_| across) else { continue };
        // `statement: SQL` or `execute NAME: SQL`; parsing and binding are told apart.
        let Some((how, statement)) = asked_for.split_once(": ") else { continue };
        if how != "statement" && !how.starts_with("execute ") {
            continue;
        }
        let mut statement = statement.to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
            statement.push(' ');
            statement.push_str(more);
        }
        let role = role.rsplit('_').next().unwrap_or_default();
        found.insert(format!("{role} {}", without_literals(&statement)));
    }
    found
}

/// Words apart by one space, and `'…'` for what stands between quotation marks.
fn without_literals(statement: &str) -> String {
    let mut out = String::new();
    for (number, part) in statement.split('\'').enumerate() {
        if number % 2 == 1 {
            out.push_str("'…'");
        } else {
            out.push_str(part);
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}
