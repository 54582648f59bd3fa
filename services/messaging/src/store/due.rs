//! What is due across tenants, for the jobs role: it finds whose, and the work goes on in a transaction of that tenant.

use lethe_ids::{ContactId, ImportId, TenantId, UnitId, WebhookEndpointId};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

fn of_tenants<Id>(rows: Vec<(Uuid, Uuid)>, id: fn(Uuid) -> Id) -> Vec<(TenantId, Id)> {
    rows.into_iter().map(|(tenant, one)| (TenantId::new(tenant), id(one))).collect()
}

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
    Ok(of_tenants(rows, ContactId::new))
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

/// Tenants with holds that were released before `before`.
pub(crate) async fn tenants_with_released_holds(
    jobs: &PgPool,
    before: OffsetDateTime,
) -> sqlx::Result<Vec<TenantId>> {
    let tenants: Vec<Uuid> =
        sqlx::query_scalar("select distinct tenant_id from holds where released_at < $1 limit 1000")
            .bind(before)
            .fetch_all(jobs)
            .await?;
    Ok(tenants.into_iter().map(TenantId::new).collect())
}

/// Endpoints with something due that nobody has in hand, the longest due first.
pub(crate) async fn webhook_endpoints(
    jobs: &PgPool,
    now: OffsetDateTime,
    most: i64,
) -> sqlx::Result<Vec<(TenantId, WebhookEndpointId)>> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select tenant_id, endpoint_id from webhook_endpoints
          where due_at <= $1 and (leased_until is null or leased_until <= $1) order by due_at limit $2",
    )
    .bind(now)
    .bind(most)
    .fetch_all(jobs)
    .await?;
    Ok(of_tenants(rows, WebhookEndpointId::new))
}

/// Endpoints whose deletion was cut off.
pub(crate) async fn webhook_deletions(
    jobs: &PgPool,
    most: i64,
) -> sqlx::Result<Vec<(TenantId, WebhookEndpointId)>> {
    let rows: Vec<(Uuid, Uuid)> =
        sqlx::query_as("select tenant_id, endpoint_id from webhook_endpoints where state = 6 limit $1")
            .bind(most)
            .fetch_all(jobs)
            .await?;
    Ok(of_tenants(rows, WebhookEndpointId::new))
}

/// Signing secrets that sign no more.
pub(crate) async fn webhook_secrets(
    jobs: &PgPool,
    now: OffsetDateTime,
    most: i64,
) -> sqlx::Result<Vec<(TenantId, WebhookEndpointId, UnitId)>> {
    let rows: Vec<(Uuid, Uuid, Uuid)> = sqlx::query_as(
        "select tenant_id, endpoint_id, unit_id from webhook_secrets where expires_at <= $1 order by expires_at limit $2",
    )
    .bind(now)
    .bind(most)
    .fetch_all(jobs)
    .await?;
    let ids = |(tenant, endpoint, unit)| {
        (TenantId::new(tenant), WebhookEndpointId::new(endpoint), UnitId::new(unit))
    };
    Ok(rows.into_iter().map(ids).collect())
}

/// Tenants with deliveries that were queued before `before` and are not kept for a certificate.
pub(crate) async fn tenants_with_old_deliveries(
    jobs: &PgPool,
    before: OffsetDateTime,
) -> sqlx::Result<Vec<TenantId>> {
    let tenants: Vec<Uuid> = sqlx::query_scalar(
        "select distinct tenant_id from webhook_deliveries where created_at < $1 and not is_kept limit 1000",
    )
    .bind(before)
    .fetch_all(jobs)
    .await?;
    Ok(tenants.into_iter().map(TenantId::new).collect())
}

/// Open imports to which no chunk came since `before`.
pub(crate) async fn idle_imports(
    jobs: &PgPool,
    before: OffsetDateTime,
    most: i64,
) -> sqlx::Result<Vec<(TenantId, ImportId)>> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select tenant_id, import_id from imports where state = 1 and updated_at < $1 order by updated_at limit $2",
    )
    .bind(before)
    .bind(most)
    .fetch_all(jobs)
    .await?;
    Ok(of_tenants(rows, ImportId::new))
}

/// Imports that ended before `before`.
pub(crate) async fn old_imports(
    jobs: &PgPool,
    before: OffsetDateTime,
    most: i64,
) -> sqlx::Result<Vec<(TenantId, ImportId)>> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select tenant_id, import_id from imports where state <> 1 and finished_at < $1 order by finished_at limit $2",
    )
    .bind(before)
    .bind(most)
    .fetch_all(jobs)
    .await?;
    Ok(of_tenants(rows, ImportId::new))
}

/// Tenants with keys of imported rows older than `before`.
pub(crate) async fn tenants_with_old_import_keys(
    jobs: &PgPool,
    before: OffsetDateTime,
) -> sqlx::Result<Vec<TenantId>> {
    let tenants: Vec<Uuid> = sqlx::query_scalar(
        "select tenant_id from import_keys where created_at < $1
         union
         select tenant_id from gone_import_keys where created_at < $1
         limit 1000",
    )
    .bind(before)
    .fetch_all(jobs)
    .await?;
    Ok(tenants.into_iter().map(TenantId::new).collect())
}
