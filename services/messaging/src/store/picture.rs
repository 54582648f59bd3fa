//! Pictures of contacts: one each.

use lethe_ids::ContactId;
use lethe_service::TenantTx;
use sqlx::FromRow;

/// A picture as it is stored.
#[derive(Debug, FromRow)]
pub(crate) struct PictureRow {
    /// `MediaType`.
    pub(crate) media_type: i16,
    /// Sealed under the profile's unit.
    pub(crate) picture: Vec<u8>,
    /// The contact's version when it was set, and the seal version.
    pub(crate) version: i32,
}

/// The contact's picture. Whether the contact is there, the caller has asked.
pub(crate) async fn find(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<Option<PictureRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select media_type, picture, version from contact_pictures where tenant_id = $1 and contact_id = $2",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .fetch_optional(&mut **tx)
    .await
}

/// Sets the picture. The caller holds the lock of the head.
pub(crate) async fn put(tx: &mut TenantTx, contact: ContactId, row: &PictureRow) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into contact_pictures (tenant_id, contact_id, media_type, picture, version)
         values ($1, $2, $3, $4, $5)
         on conflict (tenant_id, contact_id) do update
            set media_type = excluded.media_type, picture = excluded.picture, version = excluded.version",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .bind(row.media_type)
    .bind(&row.picture)
    .bind(row.version)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Deletes the picture. `false` when there was none. The caller holds the lock of the head.
pub(crate) async fn delete(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let gone = sqlx::query("delete from contact_pictures where tenant_id = $1 and contact_id = $2")
        .bind(tenant.uuid())
        .bind(contact.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(gone.rows_affected() > 0)
}
