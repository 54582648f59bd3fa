//! Fences, and what stands behind them.

use lethe_ids::{ContactId, ConversationId, ErasureId, ScopeId, SubjectId, UnitId};
use lethe_service::TenantTx;
use sqlx::{FromRow, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::census::Counted;

/// A fence as it is stored.
#[derive(Debug, FromRow)]
pub(crate) struct FenceRow {
    erased: Uuid,
    /// When.
    pub(crate) fenced_at: OffsetDateTime,
    /// Sealed under the erasure's own key.
    pub(crate) census: Vec<u8>,
    /// SHA-256 over the census before it was sealed.
    pub(crate) census_digest: Vec<u8>,
    /// Counts when it was fenced.
    pub(crate) tallies: Json<Vec<Counted>>,
    /// What was deleted and destroyed so far.
    pub(crate) evidence: Json<Vec<Counted>>,
    /// When the purge was done.
    pub(crate) purged_at: Option<OffsetDateTime>,
}

impl FenceRow {
    /// Whom it is about.
    pub(crate) fn contact(&self) -> ContactId {
        ContactId::new(self.erased)
    }
}

/// A fence to be inserted.
#[derive(Debug)]
pub(crate) struct NewFence<'a> {
    /// What is erased.
    pub(crate) scope: ScopeId,
    /// By which erasure.
    pub(crate) erasure: ErasureId,
    /// Whom it is about.
    pub(crate) contact: ContactId,
    /// Now.
    pub(crate) at: OffsetDateTime,
    /// Sealed.
    pub(crate) census: &'a [u8],
    /// Of the census before it was sealed.
    pub(crate) census_digest: &'a [u8],
    /// Counts.
    pub(crate) tallies: &'a [Counted],
}

/// The fence of a scope.
pub(crate) async fn find(tx: &mut TenantTx, scope: ScopeId) -> sqlx::Result<Option<FenceRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select erased, fenced_at, census, census_digest, tallies, evidence, purged_at from fences
          where tenant_id = $1 and scope_id = $2",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .fetch_optional(&mut **tx)
    .await
}

/// Raises the contact's fence: from the commit on no writer adds to it. Answers the sequence of that change; `None` when
/// there is no such contact.
pub(crate) async fn raise(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<Option<i64>> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "update contact_head set fenced = true, seq = seq + 1 where tenant_id = $1 and contact_id = $2
         returning seq",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .fetch_optional(&mut **tx)
    .await
}

/// Inserts a fence. `false` when the scope has one already.
pub(crate) async fn insert(tx: &mut TenantTx, new: &NewFence<'_>) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let inserted = sqlx::query(
        "insert into fences (tenant_id, scope_id, erasure_id, erased, fenced_at, census, census_digest, tallies)
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
    )
    .bind(tenant.uuid())
    .bind(new.scope.uuid())
    .bind(new.erasure.uuid())
    .bind(new.contact.uuid())
    .bind(new.at)
    .bind(new.census)
    .bind(new.census_digest)
    .bind(Json(new.tallies))
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Notes what was deleted so far.
pub(crate) async fn note(tx: &mut TenantTx, scope: ScopeId, evidence: &[Counted]) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query("update fences set evidence = $3 where tenant_id = $1 and scope_id = $2")
        .bind(tenant.uuid())
        .bind(scope.uuid())
        .bind(Json(evidence))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes that the secrets are destroyed, and until when an old copy of the keystore may still open them. The first
/// destruction counts.
pub(crate) async fn note_destroyed(
    tx: &mut TenantTx,
    scope: ScopeId,
    evidence: &[Counted],
    shredded_by: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update fences set evidence = $3, shredded_by = coalesce(shredded_by, $4)
          where tenant_id = $1 and scope_id = $2",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .bind(Json(evidence))
    .bind(shredded_by)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that nothing is left to purge.
pub(crate) async fn note_purged(tx: &mut TenantTx, scope: ScopeId, at: OffsetDateTime) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update fences set purged_at = coalesce(purged_at, $3) where tenant_id = $1 and scope_id = $2",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Every row of a contact, by the catalogue: (table, id), sorted.
pub(crate) async fn rows_of(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<Vec<(String, Uuid)>> {
    let tenant = tx.tenant();
    sqlx::query_as("select kind, row_id from census_v1($1, $2) order by kind, row_id")
        .bind(tenant.uuid())
        .bind(contact.uuid())
        .fetch_all(&mut **tx)
        .await
}

/// How many rows a contact has in each table, by the catalogue.
pub(crate) async fn counts_of(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<Vec<(String, i64)>> {
    let tenant = tx.tenant();
    sqlx::query_as("select kind, count(*) from census_v1($1, $2) group by kind order by kind")
        .bind(tenant.uuid())
        .bind(contact.uuid())
        .fetch_all(&mut **tx)
        .await
}

/// The ids under which a contact's things are sealed and said.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// Its subjects.
    pub(crate) subjects: Vec<SubjectId>,
    /// The units of its profile and its conversations.
    pub(crate) units: Vec<UnitId>,
    /// Its conversations.
    pub(crate) conversations: Vec<ConversationId>,
}

/// What a contact reaches.
pub(crate) async fn reach_of(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<Reach> {
    let tenant = tx.tenant();
    let rows: Vec<(i16, Uuid)> = sqlx::query_as(
        "select 1::smallint, subject_id::uuid from contact_subjects where tenant_id = $1 and contact_id = $2
         union
         select 1::smallint, subject_id::uuid from contacts where tenant_id = $1 and contact_id = $2
         union
         select 2::smallint, unit_id from contacts where tenant_id = $1 and contact_id = $2
         union
         select 2::smallint, u.unit_id from conversation_units u
           join conversations c on c.tenant_id = u.tenant_id and c.conversation_id = u.conversation_id
          where c.tenant_id = $1 and c.contact_id = $2
         union
         select 3::smallint, conversation_id::uuid from conversations where tenant_id = $1 and contact_id = $2
         order by 1, 2",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .fetch_all(&mut **tx)
    .await?;
    let mut reach = Reach::default();
    for (kind, id) in rows {
        match kind {
            1 => reach.subjects.push(SubjectId::new(id)),
            2 => reach.units.push(UnitId::new(id)),
            _ => reach.conversations.push(ConversationId::new(id)),
        }
    }
    Ok(reach)
}
