//! Tenants, and the directory of slugs.

use std::collections::BTreeMap;

use lethe_ids::TenantId;
use lethe_service::{Database, TenantTx};
use sqlx::{Row, types::Json};
use time::OffsetDateTime;

use crate::domain::tenant::{Details, Slug};

/// A tenant as it is kept.
#[derive(Debug, Clone)]
pub struct TenantRow {
    /// Its id.
    pub id: TenantId,
    /// What log-in names it by.
    pub slug: String,
    /// What it says of itself.
    pub details: Details,
    /// Free settings.
    pub settings: BTreeMap<String, String>,
    /// Counted up by each change.
    pub version: i64,
    /// When it was created.
    pub created_at: OffsetDateTime,
}

/// The tenant of a slug. Without a transaction of a tenant: this is how one is found.
pub async fn by_slug(db: &Database, slug: &Slug) -> Result<Option<TenantId>, sqlx::Error> {
    let id = sqlx::query_scalar("select tenant_id from slugs where slug = $1")
        .bind(slug.as_str())
        .fetch_optional(db.app())
        .await?;
    Ok(id.map(TenantId::new))
}

/// Takes the slug for the transaction's tenant. `false` when another tenant has it.
pub async fn claim_slug(tx: &mut TenantTx, slug: &Slug) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let done = sqlx::query("insert into slugs (slug, tenant_id) values ($1, $2) on conflict do nothing")
        .bind(slug.as_str())
        .bind(tenant.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Inserts the transaction's tenant.
pub async fn insert(tx: &mut TenantTx, row: &TenantRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into tenants (tenant_id, slug, name, plan, region, settings, version, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(row.id.uuid())
    .bind(&row.slug)
    .bind(&row.details.name)
    .bind(&row.details.plan)
    .bind(&row.details.region)
    .bind(Json(&row.settings))
    .bind(row.version)
    .bind(row.created_at)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// The transaction's tenant.
pub async fn get(tx: &mut TenantTx) -> Result<Option<TenantRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select slug, name, plan, region, settings, version, created_at from tenants where tenant_id = $1",
    )
    .bind(tenant.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| {
        Ok(TenantRow {
            id: tenant,
            slug: row.try_get(0)?,
            details: Details { name: row.try_get(1)?, plan: row.try_get(2)?, region: row.try_get(3)? },
            settings: row.try_get::<Json<_>, _>(4)?.0,
            version: row.try_get(5)?,
            created_at: row.try_get(6)?,
        })
    })
    .transpose()
}

/// Whoever changes rights waits here for whoever else does, so that two owners cannot take each other's role at once, and
/// each change voids the principals that were issued since the one before.
pub async fn lock(tx: &mut TenantTx) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query("select 1 from tenants where tenant_id = $1 for update")
        .bind(tenant.uuid())
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// Writes the plan over version `version`. `false` when it is another version by now.
pub async fn set_plan(tx: &mut TenantTx, plan: &str, version: i64) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let done = sqlx::query(
        "update tenants set plan = $3, version = version + 1 where tenant_id = $1 and version = $2",
    )
    .bind(tenant.uuid())
    .bind(version)
    .bind(plan)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes details and settings over version `row.version`. `false` when it is another version by now.
pub async fn update(tx: &mut TenantTx, row: &TenantRow) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "update tenants set name = $3, region = $4, settings = $5, version = version + 1
          where tenant_id = $1 and version = $2",
    )
    .bind(row.id.uuid())
    .bind(row.version)
    .bind(&row.details.name)
    .bind(&row.details.region)
    .bind(Json(&row.settings))
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
