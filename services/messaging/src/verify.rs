//! Disbelieves the eraser. Reads what the stores really hold, as the verify role, by the census and by the catalogue, with
//! statements of its own: nothing here is shared with `erase.rs` but the format of the census.
//!
//! It answers with findings, and a finding that something is there is an answer, not an error.

use std::collections::BTreeMap;

use lethe_proto::erasure::{Attestation, Finding};
use lethe_service::{TenantTx, timestamp};
use sqlx::{AssertSqlSafe, FromRow};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{census::Census, error::Error, scope::Scope, state::State};

/// Ids looked for in one statement.
const AT_ONCE: usize = 10_000;

#[derive(FromRow)]
struct Fenced {
    census: Vec<u8>,
    purged_at: Option<OffsetDateTime>,
    shredded_by: Option<OffsetDateTime>,
}

/// A column that says whose a row is, as the catalogue has it.
#[derive(FromRow)]
struct Column {
    tbl: String,
    name: String,
    domain: String,
    /// What keys the table beside the tenant.
    key: Option<String>,
}

impl State {
    /// Looks for everything of the scope.
    ///
    /// # Errors
    /// [`Error::NotFenced`]; [`Error::Census`] under another key; when a store does not answer.
    pub(crate) async fn verify_absent(
        &self,
        scope: &Scope,
        census_key: &[u8; 32],
    ) -> Result<(Vec<Finding>, OffsetDateTime), Error> {
        let mut tx = self.db.verify_tenant(scope.tenant).await?;
        let fenced: Option<Fenced> = sqlx::query_as(
            "select census, purged_at, shredded_by from fences where tenant_id = $1 and scope_id = $2 and erased = $3",
        )
        .bind(scope.tenant.uuid())
        .bind(scope.id.uuid())
        .bind(scope.contact.uuid())
        .fetch_optional(&mut *tx)
        .await?;
        let fenced = fenced.ok_or(Error::NotFenced)?;
        let census = Census::open(scope, census_key, &fenced.census)?;
        let mut findings = rows(&mut tx, scope, &census).await?;
        drop(tx);
        findings.extend(self.secrets(scope, &census).await?);
        let now = self.clock.now();
        let backups = Duration::days(i64::from(self.config.erasure.backups_kept_days));
        let purged_at = fenced.purged_at.unwrap_or(now);
        let shredded_by = fenced.shredded_by.unwrap_or_else(|| self.keyring.shred_bound());
        findings.push(declared("postgres", "opt_outs", "SUPPRESSION_KEPT"));
        findings.push(residual("postgres", "OLD_PAGES_POSTGRES", purged_at + backups));
        findings.push(residual("keystore", "OLD_PAGES_KEYSTORE", shredded_by));
        Ok((findings, now))
    }

    async fn secrets(&self, scope: &Scope, census: &Census) -> Result<[Finding; 3], Error> {
        let (subjects, units) = (census.subjects(), census.units());
        let remains = self.keyring.verify_destroyed(scope.tenant, &subjects, &units).await?;
        let (of_subjects, all) = (subjects.len() as u64, (subjects.len() + units.len()) as u64);
        Ok([
            re_read("keystore", "secrets", (all, remains.secrets), ["SECRETS_DESTROYED", "SECRETS_PRESENT"]),
            re_read(
                "keystore",
                "tombstones",
                (all, remains.without_tombstone),
                ["TOMBSTONES_SET", "TOMBSTONES_MISSING"],
            ),
            re_read(
                "keystore",
                "blind_index",
                (of_subjects, remains.blind_index_rows),
                ["ROWS_ABSENT", "ROWS_PRESENT"],
            ),
        ])
    }
}

/// What the service's own database still holds, table by table.
async fn rows(tx: &mut TenantTx, scope: &Scope, census: &Census) -> Result<Vec<Finding>, Error> {
    let columns: Vec<Column> = sqlx::query_as(
        "select c.relname::text as tbl, a.attname::text as name, a.atttypid::regtype::text as domain,
                (select k.attname::text
                   from pg_constraint p join pg_attribute k on k.attrelid = p.conrelid and k.attnum = p.conkey[2]
                  where p.conrelid = c.oid and p.contype = 'p' and cardinality(p.conkey) = 2) as key
           from pg_attribute a join pg_class c on c.oid = a.attrelid
          where a.atttypid in ('contact_id'::regtype, 'conversation_id'::regtype, 'subject_id'::regtype)
            and a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p') and not c.relispartition
            and pg_table_is_visible(c.oid)
          order by 1, 2",
    )
    .fetch_all(&mut **tx)
    .await?;
    let ids = |domain: &str| -> Vec<Uuid> {
        match domain {
            "contact_id" => vec![scope.contact.uuid()],
            "conversation_id" => census.conversations().iter().map(|id| id.uuid()).collect(),
            _ => census.subjects().iter().map(|id| id.uuid()).collect(),
        }
    };
    // Table by table: how many were looked for, how many are there.
    let mut found: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut keys: BTreeMap<&str, &str> = BTreeMap::new();
    for column in &columns {
        let there = count(tx, scope, &column.tbl, &column.name, &ids(&column.domain)).await?;
        let entry = found.entry(&column.tbl).or_default();
        entry.1 = entry.1.max(there);
        if let Some(key) = &column.key {
            keys.insert(&column.tbl, key);
        }
    }
    let listed: Vec<(&str, Vec<Uuid>)> = census.tables().collect();
    for (table, ids) in &listed {
        let entry = found.entry(table).or_default();
        entry.0 += ids.len() as u64;
        // A table that is no longer there holds nothing.
        if let Some(key) = keys.get(table) {
            entry.1 = entry.1.max(count(tx, scope, table, key, ids).await?);
        }
    }
    let codes = ["ROWS_ABSENT", "ROWS_PRESENT"];
    Ok(found.into_iter().map(|(table, counts)| re_read("postgres", table, counts, codes)).collect())
}

/// How many rows have one of these ids in the column.
async fn count(
    tx: &mut TenantTx,
    scope: &Scope,
    table: &str,
    column: &str,
    ids: &[Uuid],
) -> Result<u64, Error> {
    // Safe: both names come from the catalogue, and are quoted.
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let (table, column) = (quoted(table), quoted(column));
    let statement = format!("select count(*) from {table} where tenant_id = $1 and {column} = any ($2)");
    let mut there = 0;
    for some in ids.chunks(AT_ONCE) {
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(statement.as_str()))
            .bind(scope.tenant.uuid())
            .bind(some)
            .fetch_one(&mut **tx)
            .await?;
        there += rows.unsigned_abs();
    }
    Ok(there)
}

/// A line of what was read again: the first code when nothing is there, else the second.
fn re_read(store: &str, kind: &str, (looked_for, found): (u64, u64), codes: [&str; 2]) -> Finding {
    Finding {
        store: store.into(),
        kind: kind.into(),
        attestation: Attestation::ReRead.into(),
        looked_for,
        found,
        code: codes[usize::from(found > 0)].into(),
        until: None,
    }
}

/// A line of what lingers.
/// What stays on purpose, whoever was erased.
fn declared(store: &str, kind: &str, code: &str) -> Finding {
    Finding {
        store: store.into(),
        kind: kind.into(),
        attestation: Attestation::Declared.into(),
        looked_for: 0,
        found: 0,
        code: code.into(),
        until: None,
    }
}

fn residual(store: &str, code: &str, until: OffsetDateTime) -> Finding {
    Finding {
        store: store.into(),
        kind: "old_pages".into(),
        attestation: Attestation::Residual.into(),
        looked_for: 0,
        found: 0,
        code: code.into(),
        until: Some(timestamp(until)),
    }
}
