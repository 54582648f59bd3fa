//! Idempotency keys: which resource a key made, and a keyed MAC of the request it came with.

use lethe_service::TenantTx;
use sqlx::Row;
use time::OffsetDateTime;
use uuid::Uuid;

/// A key as it was used.
pub struct Used {
    /// Of the request.
    pub body_mac: Vec<u8>,
    /// What it made.
    pub resource: Uuid,
}

/// How this member, or this API key, used the idempotency key before.
pub async fn get(tx: &mut TenantTx, rpc: &str, who: Uuid, key: &str) -> Result<Option<Used>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select body_mac, resource from idempotency
          where tenant_id = $1 and rpc = $2 and member_id = $3 and key = $4",
    )
    .bind(tenant.uuid())
    .bind(rpc)
    .bind(who)
    .bind(key)
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| Ok(Used { body_mac: row.try_get(0)?, resource: row.try_get(1)? })).transpose()
}

/// Notes a use. `false` when the key was used meanwhile: then nothing of this transaction may stay.
pub async fn insert(
    tx: &mut TenantTx,
    rpc: &str,
    who: Uuid,
    key: &str,
    used: &Used,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let done = sqlx::query(
        "insert into idempotency (tenant_id, rpc, member_id, key, body_mac, resource, created_at)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
    )
    .bind(tenant.uuid())
    .bind(rpc)
    .bind(who)
    .bind(key)
    .bind(&used.body_mac)
    .bind(used.resource)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
