//! Rows of `idempotency_keys`: a RequestErasure that comes again. They go with the contact's id.

use lethe_ids::ErasureId;
use lethe_service::TenantTx;
use time::OffsetDateTime;

use super::damaged;

/// What a key was used for.
#[derive(Debug, Clone)]
pub struct Remembered {
    /// What it made.
    pub erasure: ErasureId,
    /// Key and fingerprint of the body.
    pub body: ([u8; 32], [u8; 32]),
}

/// What the key was used for, if it was.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn recall(tx: &mut TenantTx, key: &str) -> Result<Option<Remembered>, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    let row: Option<(uuid::Uuid, Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "select erasure_id, mac_key, body_mac from idempotency_keys where tenant_id = $1 and key = $2",
    )
    .bind(tenant)
    .bind(key)
    .fetch_optional(&mut **tx)
    .await?;
    let bytes32 = |bytes: Vec<u8>| bytes.try_into().map_err(|_| damaged("body_mac"));
    row.map(|(erasure, mac_key, body_mac)| {
        Ok(Remembered { erasure: ErasureId::new(erasure), body: (bytes32(mac_key)?, bytes32(body_mac)?) })
    })
    .transpose()
}

/// Notes what the key made.
///
/// # Errors
/// A duplicate ([`super::is_duplicate`]) when another transaction used the key meanwhile.
pub async fn remember(
    tx: &mut TenantTx,
    key: &str,
    erasure: ErasureId,
    (mac_key, body_mac): (&[u8; 32], &[u8; 32]),
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "insert into idempotency_keys (tenant_id, key, erasure_id, mac_key, body_mac, created_at)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tenant)
    .bind(key)
    .bind(erasure.uuid())
    .bind(&mac_key[..])
    .bind(&body_mac[..])
    .bind(now)
    .execute(&mut **tx)
    .await
    .map(drop)
}
