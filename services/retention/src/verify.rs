//! Disbelieves the eraser: reads as the verify role, by statements of its own, what is still there. It goes by the census
//! and by the catalogue: every column of the type `contact_id` or `conversation_id`, whatever table a later migration gives
//! one to.

use lethe_keyring::open_with;
use lethe_proto::erasure::{Attestation, Finding, VerifyAbsentResponse};
use lethe_service::{Database, TenantTx, timestamp};
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    erase::{Census, STORE, Scope, place},
    error::Error,
};

/// The table that keeps an id on purpose.
const KEPT: &str = "fences";

/// Reads again what the scope had, and says what is there.
///
/// # Errors
/// [`Error::ScopeNotFenced`] and [`Error::CensusUnreadable`] when there is nothing to go by.
pub(crate) async fn verify_absent(
    db: &Database,
    scope: &Scope,
    census_key: &[u8; 32],
    now: OffsetDateTime,
) -> Result<VerifyAbsentResponse, Error> {
    let mut tx = db.verify_tenant(scope.tenant).await?;
    let sealed: Option<Vec<u8>> =
        sqlx::query_scalar("select census from fences where tenant_id = $1 and scope_id = $2")
            .bind(scope.tenant.uuid())
            .bind(scope.scope.uuid())
            .fetch_optional(&mut *tx)
            .await?;
    let sealed = sealed.ok_or(Error::ScopeNotFenced)?;
    let census = open_with(census_key, place(scope), &sealed).map_err(|_| Error::CensusUnreadable)?;
    let census: Census = serde_json::from_slice(&census).map_err(|_| Error::CensusUnreadable)?;

    let tenant = scope.tenant.uuid();
    let erasures: i64 = sqlx::query_scalar(
        "select count(*) from erasures where tenant_id = $1 and erasure_id = any($2)
            and (contact_id is not null or conversation_id is not null)",
    )
    .bind(tenant)
    .bind(&census.erasures)
    .fetch_one(&mut *tx)
    .await?;
    let keys: i64 =
        sqlx::query_scalar("select count(*) from idempotency_keys where tenant_id = $1 and key = any($2)")
            .bind(tenant)
            .bind(&census.idempotency_keys)
            .fetch_one(&mut *tx)
            .await?;
    let mut findings = vec![
        re_read("erasures", census.erasures.len(), erasures, "CONTACT_ID_ABSENT"),
        re_read("idempotency_keys", census.idempotency_keys.len(), keys, "ROWS_ABSENT"),
    ];
    // Where a part is erased the contact lives on, and other rows may name it.
    let (domain, ids, code): (_, Vec<Uuid>, _) = match scope.mode.is_whole() {
        true => {
            let ids = [scope.contact].iter().chain(&scope.others).map(|contact| contact.uuid()).collect();
            ("contact_id", ids, "CONTACT_ID_ABSENT")
        }
        false => {
            let ids = scope.conversations.iter().map(|conversation| conversation.uuid()).collect();
            ("conversation_id", ids, "CONVERSATION_ID_ABSENT")
        }
    };
    for (table, column) in columns_of(&mut tx, domain).await? {
        let found = naming(&mut tx, &table, &column, &ids).await?;
        let finding = match table.as_str() {
            "holds" => {
                let held = still_held(&mut tx, &ids).await?;
                if held > 0 {
                    findings.push(line("holds", Attestation::Held, held.unsigned_abs(), held, "LEGAL_HOLD"));
                }
                re_read(&table, ids.len(), found - held, code)
            }
            KEPT => line(KEPT, Attestation::Declared, ids.len() as u64, found, "FENCE_KEPT"),
            _ => re_read(&table, ids.len(), found, code),
        };
        findings.push(finding);
    }
    // A hold stays on record with the reference that a member gave it, whatever that says.
    findings.push(line("holds.case_reference", Attestation::Declared, 0, 0, "CASE_REFERENCES_KEPT"));
    findings.push(line("old_pages", Attestation::NotLookedAt, 0, 0, "OLD_PAGES_RANDOM_IDS"));
    Ok(VerifyAbsentResponse { findings, verified_at: Some(timestamp(now)) })
}

/// Every column of that type: (table, column).
async fn columns_of(tx: &mut TenantTx, domain: &str) -> Result<Vec<(String, String)>, sqlx::Error> {
    sqlx::query_as(
        "select c.relname::text, a.attname::text from pg_attribute a
         join pg_class c on c.oid = a.attrelid join pg_type t on t.oid = a.atttypid
         where t.typname = $1 and c.relkind in ('r', 'p') and not a.attisdropped
         order by 1, 2",
    )
    .bind(domain)
    .fetch_all(&mut **tx)
    .await
}

/// How many rows of the table name one of them.
async fn naming(tx: &mut TenantTx, table: &str, column: &str, ids: &[Uuid]) -> Result<i64, sqlx::Error> {
    let (table, column) = (quoted(table), quoted(column));
    // Safe: both names come from the catalogue and are quoted.
    let statement = format!("select count(*) from {table} where tenant_id = $1 and {column}::uuid = any($2)");
    sqlx::query_scalar(AssertSqlSafe(statement)).bind(tx.tenant().uuid()).bind(ids).fetch_one(&mut **tx).await
}

/// How many holds on these ids are not released: they go when they are.
async fn still_held(tx: &mut TenantTx, ids: &[Uuid]) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "select count(*) from holds where tenant_id = $1 and state <> 'released'
            and (contact_id::uuid = any($2) or conversation_id::uuid = any($2))",
    )
    .bind(tx.tenant().uuid())
    .bind(ids)
    .fetch_one(&mut **tx)
    .await
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn re_read(kind: &str, looked_for: usize, found: i64, code: &str) -> Finding {
    line(kind, Attestation::ReRead, looked_for as u64, found, code)
}

fn line(kind: &str, attestation: Attestation, looked_for: u64, found: i64, code: &str) -> Finding {
    Finding {
        store: STORE.to_owned(),
        kind: kind.to_owned(),
        attestation: attestation.into(),
        looked_for,
        found: found.unsigned_abs(),
        code: code.to_owned(),
        until: None,
    }
}
