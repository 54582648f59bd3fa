//! What is due across tenants, for the jobs role: it finds whose, and the work goes on in a transaction of that tenant.

use lethe_ids::{ContactId, TenantId};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

/// Contacts whose opting out was not carried to the others with their addresses before `before`, the oldest first.
pub(crate) async fn opt_out_spreads(
    jobs: &PgPool,
    before: OffsetDateTime,
    most: i64,
) -> sqlx::Result<Vec<(TenantId, ContactId)>> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select tenant_id, contact_id::uuid from opt_out_spreads where asked_at < $1 order by asked_at limit $2",
    )
    .bind(before)
    .bind(most)
    .fetch_all(jobs)
    .await?;
    Ok(rows.into_iter().map(|(tenant, contact)| (TenantId::new(tenant), ContactId::new(contact))).collect())
}

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
