//! The tenant's labels.

use lethe_ids::LabelId;
use lethe_service::TenantTx;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

/// A label as it is stored.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct LabelRow {
    label_id: Uuid,
    /// Unlike any other of the tenant, whatever the case.
    pub(crate) name: String,
    /// `#rrggbb`.
    pub(crate) colour: String,
    /// Counts changes, for If-Match.
    pub(crate) version: i64,
}

impl LabelRow {
    /// Which label.
    pub(crate) fn id(&self) -> LabelId {
        LabelId::new(self.label_id)
    }
}

/// Until the transaction ends nobody else adds a label: so their number is kept.
pub(crate) async fn lock(tx: &mut TenantTx) -> sqlx::Result<i64> {
    let tenant = tx.tenant();
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1::uuid::text || 'labels', 0))")
        .bind(tenant.uuid())
        .execute(&mut **tx)
        .await?;
    sqlx::query_scalar("select count(*) from labels where tenant_id = $1")
        .bind(tenant.uuid())
        .fetch_one(&mut **tx)
        .await
}

/// Adds a label; its version is 1. `false` when another has the name.
pub(crate) async fn insert(
    tx: &mut TenantTx,
    label: LabelId,
    (name, colour): (&str, &str),
    at: OffsetDateTime,
) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let inserted = sqlx::query(
        "insert into labels (tenant_id, label_id, name, colour, version, created_at)
         values ($1, $2, $3, $4, 1, $5) on conflict do nothing",
    )
    .bind(tenant.uuid())
    .bind(label.uuid())
    .bind(name)
    .bind(colour)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// One label, locked until the transaction ends.
pub(crate) async fn find(tx: &mut TenantTx, label: LabelId) -> sqlx::Result<Option<LabelRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select label_id, name, colour, version from labels where tenant_id = $1 and label_id = $2 for update",
    )
    .bind(tenant.uuid())
    .bind(label.uuid())
    .fetch_optional(&mut **tx)
    .await
}

/// All labels, by name.
pub(crate) async fn list(tx: &mut TenantTx) -> sqlx::Result<Vec<LabelRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select label_id, name, colour, version from labels where tenant_id = $1 order by lower(name), label_id",
    )
    .bind(tenant.uuid())
    .fetch_all(&mut **tx)
    .await
}

/// Whether all of these are labels.
pub(crate) async fn are_known(tx: &mut TenantTx, labels: &[LabelId]) -> sqlx::Result<bool> {
    if labels.is_empty() {
        return Ok(true);
    }
    let tenant = tx.tenant();
    // Each stands there once.
    let ids: Vec<Uuid> = labels.iter().map(|label| label.uuid()).collect();
    sqlx::query_scalar("select count(*) = $3 from labels where tenant_id = $1 and label_id = any ($2)")
        .bind(tenant.uuid())
        .bind(&ids)
        .bind(i64::try_from(ids.len()).unwrap_or(i64::MAX))
        .fetch_one(&mut **tx)
        .await
}

/// Writes name and colour. The caller holds the row's lock.
///
/// # Errors
/// A unique violation when another label has the name.
pub(crate) async fn update(
    tx: &mut TenantTx,
    label: LabelId,
    (name, colour): (&str, &str),
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update labels set name = $3, colour = $4, version = version + 1 where tenant_id = $1 and label_id = $2",
    )
    .bind(tenant.uuid())
    .bind(label.uuid())
    .bind(name)
    .bind(colour)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Deletes a label. `false` when there was none.
pub(crate) async fn delete(tx: &mut TenantTx, label: LabelId) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let gone = sqlx::query("delete from labels where tenant_id = $1 and label_id = $2")
        .bind(tenant.uuid())
        .bind(label.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(gone.rows_affected() > 0)
}
