//! Disbelieves the eraser of members: reads the tables again as the verify role, by statements of its own, and the keystore.
//!
//! It goes by the erasure's row and by the catalogue: whatever table has a `member_id`, none of its sealed values may be one
//! of a destroyed subject or unit, which every sealed value names in its head.

use lethe_ids::{ErasureId, SubjectId, TenantId, UnitId};
use lethe_keyring::Keyring;
use lethe_service::{Database, TenantTx};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::{Error, store::member_erasure::Reading};

/// Where nothing of a member may stand who was erased wholly.
const EMPTY: [&str; 5] = ["sessions", "log_in_records", "member_photos", "team_members", "idempotency"];

/// Looks for what the erasure was to take away, and says what is still there.
///
/// # Errors
/// When a store does not answer: then nothing is said.
pub(crate) async fn absent(
    db: &Database,
    keyring: &Keyring,
    tenant: TenantId,
    erasure: ErasureId,
) -> Result<Vec<Reading>, Error> {
    let mut tx = db.verify_tenant(tenant).await?;
    let (member, mode, subjects, units): (Uuid, i16, Vec<Uuid>, Vec<Uuid>) = sqlx::query_as(
        "select member_id, mode, subjects, units from member_erasures where tenant_id = $1 and erasure_id = $2",
    )
    .bind(tenant.uuid())
    .bind(erasure.uuid())
    .fetch_one(&mut *tx)
    .await?;
    let whole = mode == 2;
    let tables: &[&str] = if whole { &EMPTY } else { &["sessions", "member_photos"] };
    let mut findings = Vec::new();
    for table in tables {
        // Safe: a name of the list above.
        let statement = format!("select count(*) from {table} where tenant_id = $1 and member_id = $2");
        let found = sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(tenant.uuid())
            .bind(member)
            .fetch_one(&mut *tx)
            .await?;
        findings.push(reading("postgres", table, 1, found));
    }
    let tombstone: i64 = sqlx::query_scalar(
        "select count(*) from members where tenant_id = $1 and member_id = $2 and (active or erased < $3 or unit_id = any($4) and $3 = 1
            or $3 = 2 and (profile <> '' or password_hash <> '' or roles <> '{}'))",
    )
    .bind(tenant.uuid())
    .bind(member)
    .bind(mode)
    .bind(&units)
    .fetch_one(&mut *tx)
    .await?;
    findings.push(reading("postgres", "members", 1, tombstone));
    // Words and open ones; that something was asked and answered stays.
    let requests: i64 = sqlx::query_scalar(
        "select count(*) from member_requests
          where tenant_id = $1 and member_id = $2 and (grounds is not null or answer is not null or $3 = 2 and state = 1)",
    )
    .bind(tenant.uuid())
    .bind(member)
    .bind(mode)
    .fetch_one(&mut *tx)
    .await?;
    findings.push(reading("postgres", "member_requests", 1, requests));
    let gone: Vec<&Uuid> = units.iter().chain(&subjects).collect();
    for (table, column) in sealed_columns(&mut tx).await? {
        let mut found = 0;
        for id in &gone {
            found += holding(&mut tx, &table, &column, id).await?;
        }
        findings.push(reading("postgres", &format!("{table}.{column}"), gone.len(), found));
    }
    drop(tx);

    let subjects: Vec<SubjectId> = subjects.into_iter().map(SubjectId::new).collect();
    let units: Vec<UnitId> = units.into_iter().map(UnitId::new).collect();
    let remains = keyring.verify_destroyed(tenant, &subjects, &units).await?;
    let secrets = subjects.len() + units.len();
    for (kind, looked_for, found) in [
        ("secrets", secrets, remains.secrets),
        ("tombstones_missing", secrets, remains.without_tombstone),
        ("blind_index", subjects.len(), remains.blind_index_rows),
    ] {
        findings.push(reading("keystore", kind, looked_for, found.cast_signed()));
    }
    Ok(findings)
}

/// Every column of bytes in a table that names members: (table, column).
async fn sealed_columns(tx: &mut TenantTx) -> Result<Vec<(String, String)>, sqlx::Error> {
    sqlx::query_as(
        "select c.oid::regclass::text, quote_ident(a.attname)
           from pg_attribute a join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p')
          where a.atttypid = 'bytea'::regtype and a.attnum > 0 and not a.attisdropped
            and c.relnamespace = current_schema()::regnamespace
            and exists (select from pg_attribute m where m.attrelid = c.oid and m.attname = 'member_id' and not m.attisdropped)
          order by 1, 2",
    )
    .fetch_all(&mut **tx)
    .await
}

/// How many values of that column have the id in them.
async fn holding(tx: &mut TenantTx, table: &str, column: &str, id: &Uuid) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant();
    // Safe: table and column come quoted from the catalogue.
    let statement =
        format!("select count(*) from {table} where tenant_id = $1 and position($2 in {column}) > 0");
    sqlx::query_scalar(AssertSqlSafe(statement))
        .bind(tenant.uuid())
        .bind(id.as_bytes().as_slice())
        .fetch_one(&mut **tx)
        .await
}

fn reading(store: &str, kind: &str, looked_for: usize, found: i64) -> Reading {
    Reading {
        store: store.to_owned(),
        kind: kind.to_owned(),
        looked_for: looked_for as u64,
        found: found.unsigned_abs(),
    }
}
