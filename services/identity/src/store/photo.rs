//! Members' photos, sealed; and the units that were retired with old ones, until the keystore has destroyed them.

use lethe_ids::{ErasureId, MemberId, TenantId, UnitId};
use lethe_service::{Database, TenantTx};
use sqlx::Row;
use time::OffsetDateTime;
use uuid::Uuid;

/// A photo as it is kept.
#[derive(Clone)]
pub struct PhotoRow {
    /// Another one for each photo that was ever set: its tag, and the record that it is sealed as.
    pub id: Uuid,
    /// The holder of its secret.
    pub unit: UnitId,
    /// `image/…`.
    pub media_type: String,
    /// Sealed.
    pub photo: Vec<u8>,
}

/// A member's photo.
pub async fn get(tx: &mut TenantTx, member: MemberId) -> Result<Option<PhotoRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select photo_id, unit_id, media_type, photo from member_photos where tenant_id = $1 and member_id = $2",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| {
        Ok(PhotoRow {
            id: row.try_get(0)?,
            unit: UnitId::new(row.try_get(1)?),
            media_type: row.try_get(2)?,
            photo: row.try_get(3)?,
        })
    })
    .transpose()
}

/// Inserts a member's photo; he has none.
pub async fn insert(
    tx: &mut TenantTx,
    member: MemberId,
    row: &PhotoRow,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into member_photos (tenant_id, member_id, photo_id, unit_id, media_type, photo, set_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .bind(row.id)
    .bind(row.unit.uuid())
    .bind(&row.media_type)
    .bind(&row.photo)
    .bind(now)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Deletes a member's photo; answers the unit whose secret is to go.
pub async fn delete(tx: &mut TenantTx, member: MemberId) -> Result<Option<UnitId>, sqlx::Error> {
    let tenant = tx.tenant();
    let unit = sqlx::query_scalar(
        "delete from member_photos where tenant_id = $1 and member_id = $2 returning unit_id",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    Ok(unit.map(UnitId::new))
}

/// Notes that the unit's secret is to be destroyed.
pub async fn retire(
    tx: &mut TenantTx,
    unit: UnitId,
    cause: ErasureId,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query("insert into retired_units (tenant_id, unit_id, cause, retired_at) values ($1, $2, $3, $4)")
        .bind(tenant.uuid())
        .bind(unit.uuid())
        .bind(cause.uuid())
        .bind(now)
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// Tenants that have retired units.
pub async fn retiring(db: &Database, limit: i64) -> Result<Vec<TenantId>, sqlx::Error> {
    let ids: Vec<Uuid> =
        sqlx::query_scalar("select tenant_id from retired_units order by retired_at limit $1")
            .bind(limit)
            .fetch_all(db.jobs())
            .await?;
    let mut tenants: Vec<TenantId> = ids.into_iter().map(TenantId::new).collect();
    tenants.sort_unstable();
    tenants.dedup();
    Ok(tenants)
}

/// The tenant's retired units, each with its cause.
pub async fn retired(tx: &mut TenantTx, limit: i64) -> Result<Vec<(UnitId, ErasureId)>, sqlx::Error> {
    let tenant = tx.tenant();
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select unit_id, cause from retired_units where tenant_id = $1 order by retired_at limit $2",
    )
    .bind(tenant.uuid())
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|(unit, cause)| (UnitId::new(unit), ErasureId::new(cause))).collect())
}

/// Forgets retired units that the keystore has destroyed.
pub async fn forget_retired(tx: &mut TenantTx, units: &[UnitId]) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    let units: Vec<Uuid> = units.iter().map(|unit| unit.uuid()).collect();
    sqlx::query("delete from retired_units where tenant_id = $1 and unit_id = any($2)")
        .bind(tenant.uuid())
        .bind(units)
        .execute(&mut **tx)
        .await
        .map(drop)
}
