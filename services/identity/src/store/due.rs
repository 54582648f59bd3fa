//! What has expired: found across tenants by the jobs role, deleted tenant by tenant.

use lethe_ids::TenantId;
use lethe_service::{Database, TenantTx};
use time::OffsetDateTime;
use uuid::Uuid;

/// Tenants that have something of a kind to delete are looked up so many at a time.
const TENANTS: i64 = 100;
/// Rows that one statement deletes.
const ROWS: i64 = 5_000;

/// Until when things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Now.
    pub now: OffsetDateTime,
    /// Sessions not seen since are over.
    pub idle_since: OffsetDateTime,
    /// Older log-in records go.
    pub log_in_records: OffsetDateTime,
    /// Older idempotency keys go.
    pub idempotency: OffsetDateTime,
    /// Revocations older than so many seconds, by the database's time, go.
    pub revocations_s: f64,
}

/// Tenants with something that has expired.
pub async fn tenants(db: &Database, limits: &Limits) -> Result<Vec<TenantId>, sqlx::Error> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "(select tenant_id from sessions where expires_at <= $1 or last_seen_at <= $2 limit $6)
         union (select tenant_id from log_in_records where at < $3 limit $6)
         union (select tenant_id from idempotency where created_at < $4 limit $6)
         union (select tenant_id from revocations where recorded_at < clock_timestamp() - make_interval(secs => $5) limit $6)",
    )
    .bind(limits.now)
    .bind(limits.idle_since)
    .bind(limits.log_in_records)
    .bind(limits.idempotency)
    .bind(limits.revocations_s)
    .bind(TENANTS)
    .fetch_all(db.jobs())
    .await?;
    Ok(ids.into_iter().map(TenantId::new).collect())
}

/// Deletes a batch of what has expired in the transaction's tenant. Answers how many rows.
pub async fn delete(tx: &mut TenantTx, limits: &Limits) -> Result<u64, sqlx::Error> {
    let tenant = tx.tenant();
    let mut gone = 0;
    gone += sqlx::query(
        "delete from sessions where tenant_id = $1 and session_id in (
             select session_id from sessions where tenant_id = $1 and (expires_at <= $2 or last_seen_at <= $3) limit $4)",
    )
    .bind(tenant.uuid())
    .bind(limits.now)
    .bind(limits.idle_since)
    .bind(ROWS)
    .execute(&mut **tx)
    .await?
    .rows_affected();
    gone += sqlx::query(
        "delete from log_in_records where tenant_id = $1 and log_in_record_id in (
             select log_in_record_id from log_in_records where tenant_id = $1 and at < $2 limit $3)",
    )
    .bind(tenant.uuid())
    .bind(limits.log_in_records)
    .bind(ROWS)
    .execute(&mut **tx)
    .await?
    .rows_affected();
    gone += sqlx::query(
        "delete from idempotency where tenant_id = $1 and ctid = any (array(
             select ctid from idempotency where tenant_id = $1 and created_at < $2 limit $3))",
    )
    .bind(tenant.uuid())
    .bind(limits.idempotency)
    .bind(ROWS)
    .execute(&mut **tx)
    .await?
    .rows_affected();
    gone += sqlx::query(
        "delete from revocations where tenant_id = $1 and ctid = any (array(
             select ctid from revocations
              where tenant_id = $1 and recorded_at < clock_timestamp() - make_interval(secs => $2) limit $3))",
    )
    .bind(tenant.uuid())
    .bind(limits.revocations_s)
    .bind(ROWS)
    .execute(&mut **tx)
    .await?
    .rows_affected();
    Ok(gone)
}
