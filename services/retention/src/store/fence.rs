//! Rows of `fences`, and the statements by which this service takes part in an erasure. What the verifier reads is in
//! `verify.rs`, which shares no statement with these.

use lethe_ids::{ContactId, ErasureId, ScopeId};
use lethe_service::TenantTx;
use sqlx::{FromRow, Row, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

/// This service's fence of a scope.
#[derive(Debug, Clone)]
pub struct Fence {
    /// The scope.
    pub scope: ScopeId,
    /// The erasure.
    pub erasure: ErasureId,
    /// Whose.
    pub contact: ContactId,
    /// When it was committed.
    pub fenced_at: OffsetDateTime,
    /// What was there, sealed.
    pub census: Vec<u8>,
    /// The encoded FenceResponse.
    pub answer: Vec<u8>,
}

impl FromRow<'_, PgRow> for Fence {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            scope: ScopeId::new(row.try_get("scope_id")?),
            erasure: ErasureId::new(row.try_get("erasure_id")?),
            contact: ContactId::new(row.try_get("contact")?),
            fenced_at: row.try_get("fenced_at")?,
            census: row.try_get("census")?,
            answer: row.try_get("answer")?,
        })
    }
}

/// What this service holds about a contact.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnRows {
    /// Erasures that name the contact.
    pub erasures: Vec<Uuid>,
    /// Keys of requests to erase the contact.
    pub idempotency_keys: Vec<String>,
}

/// Makes the fence; nothing when the contact has one already.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn fence(tx: &mut TenantTx, fence: &Fence) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "insert into fences (tenant_id, contact_id, scope_id, erasure_id, fenced_at, census, answer)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
    )
    .bind(tenant)
    .bind(fence.contact.uuid())
    .bind(fence.scope.uuid())
    .bind(fence.erasure.uuid())
    .bind(fence.fenced_at)
    .bind(&fence.census)
    .bind(&fence.answer)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// The fence of that scope.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn fence_of(tx: &mut TenantTx, scope: ScopeId) -> Result<Option<Fence>, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query_as(
        "select scope_id, erasure_id, contact_id::uuid as contact, fenced_at, census, answer from fences
         where tenant_id = $1 and scope_id = $2",
    )
    .bind(tenant)
    .bind(scope.uuid())
    .fetch_optional(&mut **tx)
    .await
}

/// Whether no erasure may be asked for this contact any more.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn is_fenced(tx: &mut TenantTx, contact: ContactId) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query_scalar("select exists (select from fences where tenant_id = $1 and contact_id = $2)")
        .bind(tenant)
        .bind(contact.uuid())
        .fetch_one(&mut **tx)
        .await
}

/// The rows that name the contact.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn own_rows(tx: &mut TenantTx, contact: ContactId) -> Result<OwnRows, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    let erasures = sqlx::query_scalar(
        "select erasure_id from erasures where tenant_id = $1 and contact_id = $2 order by erasure_id",
    )
    .bind(tenant)
    .bind(contact.uuid())
    .fetch_all(&mut **tx)
    .await?;
    let idempotency_keys = sqlx::query_scalar(
        "select key from idempotency_keys
         where tenant_id = $1 and erasure_id = any($2) order by key",
    )
    .bind(tenant)
    .bind(&erasures)
    .fetch_all(&mut **tx)
    .await?;
    Ok(OwnRows { erasures, idempotency_keys })
}

/// Takes the contact out of the erasures that name it, and deletes the requests' keys.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn unlink(tx: &mut TenantTx, contact: ContactId) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "delete from idempotency_keys k using erasures e
         where k.tenant_id = $1 and e.tenant_id = k.tenant_id and e.erasure_id = k.erasure_id and e.contact_id = $2",
    )
    .bind(tenant)
    .bind(contact.uuid())
    .execute(&mut **tx)
    .await?;
    sqlx::query("update erasures set contact_id = null where tenant_id = $1 and contact_id = $2")
        .bind(tenant)
        .bind(contact.uuid())
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// After the second certificate: the fence is a bare contact id, and nothing here says which erasure was whose.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn forget(tx: &mut TenantTx, erasure: ErasureId) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "update fences set scope_id = null, erasure_id = null, fenced_at = null, census = null, answer = null
         where tenant_id = $1 and erasure_id = $2",
    )
    .bind(tenant)
    .bind(erasure.uuid())
    .execute(&mut **tx)
    .await
    .map(drop)
}
