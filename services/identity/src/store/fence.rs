//! Fences: which contacts are being erased, and the eraser's statements on audit events.

use lethe_ids::{AuditId, ContactId, ErasureId, ScopeId};
use lethe_service::TenantTx;
use sqlx::Row;
use time::OffsetDateTime;
use uuid::Uuid;

/// A fence as it is kept.
#[derive(Debug, Clone)]
pub struct FenceRow {
    /// The scope.
    pub scope: ScopeId,
    /// The erasure, which is the alias.
    pub erasure: ErasureId,
    /// `domain::audit::contact_hash`.
    pub contact_hash: [u8; 32],
    /// The same of the other ids of the person. Not read back.
    pub other_hashes: Vec<[u8; 32]>,
    /// Sealed under the erasure's key.
    pub census: Vec<u8>,
    /// SHA-256 of the census before it was sealed.
    pub census_digest: Vec<u8>,
    /// How many events the census has.
    pub audit_events: i64,
    /// How many were given the alias so far.
    pub replaced: i64,
    /// When it was committed.
    pub fenced_at: OffsetDateTime,
    /// When the first purge was done.
    pub purged_at: Option<OffsetDateTime>,
}

/// Until the transaction ends no fence for this contact is committed. For writers: they look for the fence after it.
pub async fn hold_off(tx: &mut TenantTx, contact_hash: &[u8; 32]) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock_shared($1)")
        .bind(lock_key(contact_hash))
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// Waits until no writer is at work on this contact, and keeps new ones waiting until the transaction ends.
pub async fn close(tx: &mut TenantTx, contact_hash: &[u8; 32]) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(lock_key(contact_hash))
        .execute(&mut **tx)
        .await
        .map(drop)
}

fn lock_key(contact_hash: &[u8; 32]) -> i64 {
    let mut key = [0; 8];
    key.copy_from_slice(&contact_hash[..8]);
    i64::from_be_bytes(key)
}

/// The (first) erasure that fences this contact, if one does.
pub async fn erasure_of(
    tx: &mut TenantTx,
    contact_hash: &[u8; 32],
) -> Result<Option<ErasureId>, sqlx::Error> {
    let tenant = tx.tenant();
    let id = sqlx::query_scalar(
        "select erasure_id from fences
          where tenant_id = $1 and (contact_hash = $2 or other_hashes @> array[$2]) order by fenced_at, scope_id limit 1",
    )
        .bind(tenant.uuid())
        .bind(contact_hash.as_slice())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(id.map(ErasureId::new))
}

/// The fence of a scope.
pub async fn get(tx: &mut TenantTx, scope: ScopeId) -> Result<Option<FenceRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select erasure_id, contact_hash, census, census_digest, audit_events, replaced, fenced_at, purged_at
           from fences where tenant_id = $1 and scope_id = $2",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| {
        let hash: Vec<u8> = row.try_get(1)?;
        let mut contact_hash = [0; 32];
        if hash.len() == 32 {
            contact_hash.copy_from_slice(&hash);
        }
        Ok(FenceRow {
            scope,
            erasure: ErasureId::new(row.try_get(0)?),
            contact_hash,
            other_hashes: Vec::new(),
            census: row.try_get(2)?,
            census_digest: row.try_get(3)?,
            audit_events: row.try_get(4)?,
            replaced: row.try_get(5)?,
            fenced_at: row.try_get(6)?,
            purged_at: row.try_get(7)?,
        })
    })
    .transpose()
}

/// Inserts a fence. `false` when the scope is fenced already.
pub async fn insert(tx: &mut TenantTx, row: &FenceRow) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let done = sqlx::query(
        "insert into fences (tenant_id, scope_id, erasure_id, contact_hash, census, census_digest, audit_events, fenced_at, other_hashes)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing",
    )
    .bind(tenant.uuid())
    .bind(row.scope.uuid())
    .bind(row.erasure.uuid())
    .bind(row.contact_hash.as_slice())
    .bind(&row.census)
    .bind(&row.census_digest)
    .bind(row.audit_events)
    .bind(row.fenced_at)
    .bind(row.other_hashes.iter().map(|hash| hash.to_vec()).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What audit events are about.
#[derive(Debug, Clone)]
pub enum About {
    /// A person, by all ids it was a contact under.
    Contacts(Vec<ContactId>),
    /// Targets with these ids.
    Targets(Vec<String>),
}

impl About {
    /// As the statements take it.
    fn columns(&self) -> (Vec<Uuid>, &[String]) {
        match self {
            Self::Contacts(contacts) => (contacts.iter().map(|contact| contact.uuid()).collect(), &[]),
            Self::Targets(targets) => (Vec::new(), targets),
        }
    }
}

/// How many audit events are about it.
pub async fn count_events(tx: &mut TenantTx, about: &About) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant();
    let (contacts, targets) = about.columns();
    sqlx::query_scalar(
        "select count(*) from audit_events
          where tenant_id = $1 and (contact_id::uuid = any ($2) or target_id = any ($3))",
    )
    .bind(tenant.uuid())
    .bind(contacts)
    .bind(targets)
    .fetch_one(&mut **tx)
    .await
}

/// The audit events that are about it, in their order.
pub async fn list_events(tx: &mut TenantTx, about: &About) -> Result<Vec<AuditId>, sqlx::Error> {
    let tenant = tx.tenant();
    let (contacts, targets) = about.columns();
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "select audit_id from audit_events
          where tenant_id = $1 and (contact_id::uuid = any ($2) or target_id = any ($3)) order by audit_id",
    )
    .bind(tenant.uuid())
    .bind(contacts)
    .bind(targets)
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(AuditId::new).collect())
}

/// Puts the erasure's id in the place of contact and target in at most `limit` events, and forgets the salt that would
/// prove whom they were about. Answers how many.
pub async fn alias_events(
    tx: &mut TenantTx,
    about: &About,
    erasure: ErasureId,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let tenant = tx.tenant();
    let (contacts, targets) = about.columns();
    let done = sqlx::query(
        "update audit_events set target_id = $3, contact_id = null, about_salt = null, erasure_id = $4
          where tenant_id = $1 and audit_id in (
              select audit_id from audit_events
               where tenant_id = $1 and (contact_id::uuid = any ($2) or target_id = any ($6)) limit $5)",
    )
    .bind(tenant.uuid())
    .bind(contacts)
    .bind(erasure.to_string())
    .bind(erasure.uuid())
    .bind(limit)
    .bind(targets)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// Notes on the fence what a purge did.
pub async fn note_purge(
    tx: &mut TenantTx,
    scope: ScopeId,
    replaced: u64,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "update fences set replaced = replaced + $3, purged_at = coalesce(purged_at, $4)
          where tenant_id = $1 and scope_id = $2",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .bind(i64::try_from(replaced).unwrap_or(i64::MAX))
    .bind(now)
    .execute(&mut **tx)
    .await
    .map(drop)
}
