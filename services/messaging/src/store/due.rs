//! What is due across tenants, for the jobs role: it finds whose, and the work goes on in a transaction of that tenant.

use lethe_ids::TenantId;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

/// Tenants with idempotency keys older than `before`.
pub(crate) async fn tenants_with_old_keys(
    jobs: &PgPool,
    before: OffsetDateTime,
) -> sqlx::Result<Vec<TenantId>> {
    let tenants: Vec<Uuid> = sqlx::query_scalar(
        "select tenant_id from idempotency where created_at < $1
         union
         select tenant_id from gone_keys where created_at < $1
         limit 1000",
    )
    .bind(before)
    .fetch_all(jobs)
    .await?;
    Ok(tenants.into_iter().map(TenantId::new).collect())
}
