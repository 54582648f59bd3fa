//! The tenants that are indexed, and which of them are due to be indexed anew.

use lethe_ids::TenantId;
use lethe_service::{Database, TenantTx};
use sqlx::Row;
use time::OffsetDateTime;
use uuid::Uuid;

/// How a tenant is indexed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rebuild {
    /// Against what is there: searches go on.
    Reconcile,
    /// From nothing.
    Drop,
}

impl Rebuild {
    fn text(self) -> &'static str {
        match self {
            Self::Reconcile => "reconcile",
            Self::Drop => "drop",
        }
    }

    fn of(text: &str) -> Self {
        if text == "drop" { Self::Drop } else { Self::Reconcile }
    }
}

/// A tenant that is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    pub(crate) tenant: TenantId,
    pub(crate) rebuild: Rebuild,
    pub(crate) asked_at: OffsetDateTime,
}

/// Notes a tenant that is seen for the first time. What it said before its first event came to us is read, too.
pub(crate) async fn greet(tx: &mut TenantTx) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into tenants (tenant_id, rebuild, asked_at) values ($1, 'reconcile', clock_timestamp())
         on conflict do nothing",
    )
    .bind(tenant.uuid())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Asks for a rebuild. A wish to begin with nothing is not weakened by a later one.
pub(crate) async fn ask(tx: &mut TenantTx, rebuild: Rebuild) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into tenants (tenant_id, rebuild, asked_at) values ($1, $2, clock_timestamp())
         on conflict (tenant_id) do update set asked_at = excluded.asked_at,
            rebuild = case when tenants.rebuild = 'drop' then 'drop' else excluded.rebuild end",
    )
    .bind(tenant.uuid())
    .bind(rebuild.text())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// All tenants that were ever indexed, in pages: those after `after`.
pub(crate) async fn all(db: &Database, after: Uuid, limit: u32) -> Result<Vec<TenantId>, sqlx::Error> {
    let ids: Vec<Uuid> =
        sqlx::query_scalar("select tenant_id from tenants where tenant_id > $1 order by tenant_id limit $2")
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(db.jobs())
            .await?;
    Ok(ids.into_iter().map(TenantId::new).collect())
}

/// The tenant that has been due for longest.
pub(crate) async fn due(db: &Database) -> Result<Option<Due>, sqlx::Error> {
    let row = sqlx::query(
        "select tenant_id, rebuild, asked_at from tenants where rebuild is not null order by asked_at limit 1",
    )
    .fetch_optional(db.jobs())
    .await?;
    row.map(|row| {
        Ok(Due {
            tenant: TenantId::new(row.try_get(0)?),
            rebuild: Rebuild::of(row.try_get(1)?),
            asked_at: row.try_get(2)?,
        })
    })
    .transpose()
}

/// A rebuild failed: it is tried again after those of the others.
pub(crate) async fn put_off(tx: &mut TenantTx) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "update tenants set asked_at = clock_timestamp() where tenant_id = $1 and rebuild is not null",
    )
    .bind(tenant.uuid())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A rebuild is done, unless another was asked for meanwhile.
pub(crate) async fn done(
    tx: &mut TenantTx,
    due: &Due,
    indexed: u64,
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "update tenants set rebuilt_at = $3, indexed = $4,
                rebuild = case when asked_at > $2 then rebuild end
          where tenant_id = $1",
    )
    .bind(tenant.uuid())
    .bind(due.asked_at)
    .bind(at)
    .bind(i64::try_from(indexed).unwrap_or(i64::MAX))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether the tenant is indexed as far as the events go (no rebuild is due), and how many messages the last rebuild
/// read. `None` for a tenant that was never seen.
pub(crate) async fn standing(tx: &mut TenantTx) -> Result<Option<(bool, u64)>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query("select rebuild is null, indexed from tenants where tenant_id = $1")
        .bind(tenant.uuid())
        .fetch_optional(&mut **tx)
        .await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get::<i64, _>(1)?.unsigned_abs()))).transpose()
}
