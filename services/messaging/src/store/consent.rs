//! Consents: one row each time that one is given or withdrawn.

use lethe_ids::{ConsentId, ContactId};
use lethe_service::TenantTx;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

/// A consent as it is stored.
#[derive(Debug, FromRow)]
pub(crate) struct ConsentRow {
    consent_id: Uuid,
    /// `ConsentPurpose`.
    pub(crate) purpose: i16,
    /// `ConsentAct`.
    pub(crate) act: i16,
    /// Sealed under the unit of the profile that there was then.
    pub(crate) source: Vec<u8>,
    /// When.
    pub(crate) at: OffsetDateTime,
}

impl ConsentRow {
    /// Which consent.
    pub(crate) fn id(&self) -> ConsentId {
        ConsentId::new(self.consent_id)
    }
}

/// Adds to the history.
pub(crate) async fn insert(
    tx: &mut TenantTx,
    contact: ContactId,
    consent: ConsentId,
    (purpose, act): (i16, i16),
    source: &[u8],
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into consents (tenant_id, consent_id, contact_id, purpose, act, source, at)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(tenant.uuid())
    .bind(consent.uuid())
    .bind(contact.uuid())
    .bind(purpose)
    .bind(act)
    .bind(source)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One consent of a contact.
pub(crate) async fn find(
    tx: &mut TenantTx,
    contact: ContactId,
    consent: ConsentId,
) -> sqlx::Result<Option<ConsentRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select consent_id, purpose, act, source, at from consents
          where tenant_id = $1 and contact_id = $2 and consent_id = $3",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .bind(consent.uuid())
    .fetch_optional(&mut **tx)
    .await
}

/// The newest consents of a contact older than `before`.
pub(crate) async fn list(
    tx: &mut TenantTx,
    contact: ContactId,
    before: Uuid,
    most: i64,
) -> sqlx::Result<Vec<ConsentRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select consent_id, purpose, act, source, at from consents
          where tenant_id = $1 and contact_id = $2 and consent_id < $3
          order by consent_id desc limit $4",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .bind(before)
    .bind(most)
    .fetch_all(&mut **tx)
    .await
}
