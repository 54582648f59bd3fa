//! Every SQL statement of a crate, out of its sources: statements are literals, so that a test can prepare them all.

use std::{collections::BTreeSet, fs, path::Path};

use lethe_service::DatabaseConfig;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};

use crate::Databases;

/// How the literals begin that are SQL.
const VERBS: [&str; 7] = ["select ", "insert ", "update ", "delete ", "with ", "(select ", "call "];

/// Prepares every statement in the sources of the crate at `folder` (`CARGO_MANIFEST_DIR`) against a migrated schema.
/// Those put together from pieces (one has a `{`, or ends in a blank) are left to the tests that run them.
///
/// # Panics
/// With each statement that does not fit, or when fewer than `at_least` are found.
pub async fn every_statement_fits(folder: &str, database: &DatabaseConfig, at_least: usize) {
    let mut statements = BTreeSet::new();
    collect(&Path::new(folder).join("src"), &mut statements);
    assert!(statements.len() >= at_least, "{} statements were found", statements.len());
    let mut superuser = Databases::superuser(database).await;
    let mut wrong = Vec::new();
    for statement in
        statements.iter().filter(|statement| !statement.contains('{') && !statement.ends_with(' '))
    {
        if let Err(error) = (&mut superuser).prepare(AssertSqlSafe(statement.as_str()).into_sql_str()).await {
            wrong.push(format!("{statement}\n    {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn collect(folder: &Path, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).expect("a source");
            for (at, _) in source.match_indices('"') {
                let rest = &source[at + 1..];
                if VERBS.iter().any(|verb| rest.starts_with(verb))
                    && let Some(end) = rest.find('"')
                {
                    into.insert(rest[..end].to_owned());
                }
            }
        }
    }
}
