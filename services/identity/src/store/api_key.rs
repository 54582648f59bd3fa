//! API keys.

use lethe_ids::ApiKeyId;
use lethe_service::TenantTx;
use time::OffsetDateTime;

/// Whether principals of this key that were issued then still stand.
pub async fn stands(
    tx: &mut TenantTx,
    key: ApiKeyId,
    issued_at_ms: i64,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select 1 from api_keys k join tenants t using (tenant_id)
          where k.tenant_id = $1 and k.api_key_id = $2 and k.revoked_at is null
            and (k.expires_at is null or k.expires_at > $4) and t.void_before_ms <= $3",
    )
    .bind(tenant.uuid())
    .bind(key.uuid())
    .bind(issued_at_ms)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.is_some())
}
