//! Creating requests that may come again.

use lethe_ids::ContactId;
use lethe_service::TenantTx;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

/// A request's key and body, as they are stored: MACs, cut to 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Once {
    /// Of RPC and key.
    pub(crate) key_mac: Uuid,
    /// Of the body.
    pub(crate) body_mac: Uuid,
}

/// What came of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It made this.
    Made(Uuid),
    /// It came with another body.
    OtherBody,
    /// What it made is gone.
    Gone,
}

#[derive(FromRow)]
struct Row {
    body_mac: Option<Uuid>,
    resource_id: Option<Uuid>,
}

/// What came of the key, if it came before.
pub(crate) async fn find(tx: &mut TenantTx, once: Once) -> sqlx::Result<Option<Known>> {
    let tenant = tx.tenant();
    let row: Option<Row> = sqlx::query_as(
        "select body_mac, resource_id from idempotency where tenant_id = $1 and key_mac = $2
         union all
         select null, null from gone_keys where tenant_id = $1 and key_mac = $2",
    )
    .bind(tenant.uuid())
    .bind(once.key_mac)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| match (row.body_mac, row.resource_id) {
        (Some(body), Some(resource)) if body == once.body_mac => Known::Made(resource),
        (Some(_), _) => Known::OtherBody,
        (None, _) => Known::Gone,
    }))
}

/// Notes what the key makes, and about which contact. `false` when another request with the key was faster, or what it made was erased: nothing is to
/// be made then.
pub(crate) async fn insert(
    tx: &mut TenantTx,
    once: Once,
    contact: impl Into<Option<ContactId>>,
    resource: Uuid,
    at: OffsetDateTime,
) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let inserted = sqlx::query(
        "insert into idempotency (tenant_id, key_mac, body_mac, contact_id, resource_id, created_at)
         select $1, $2, $3, $4, $5, $6
          where not exists (select from gone_keys where tenant_id = $1 and key_mac = $2)
         on conflict do nothing",
    )
    .bind(tenant.uuid())
    .bind(once.key_mac)
    .bind(once.body_mac)
    .bind(contact.into().map(ContactId::uuid))
    .bind(resource)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Forgets keys of requests older than `before`, at most `most` of each kind. Answers how many.
pub(crate) async fn forget(tx: &mut TenantTx, before: OffsetDateTime, most: i64) -> sqlx::Result<u64> {
    let statements = [
        "delete from idempotency where tenant_id = $1 and key_mac in
           (select key_mac from idempotency where tenant_id = $1 and created_at < $2 limit $3)",
        "delete from gone_keys where tenant_id = $1 and key_mac in
           (select key_mac from gone_keys where tenant_id = $1 and created_at < $2 limit $3)",
    ];
    forget_by(tx, statements, before, most).await
}

/// Deletes what is older than `before` by each statement, at most `most`. Answers how many.
pub(super) async fn forget_by(
    tx: &mut TenantTx,
    statements: [&'static str; 2],
    before: OffsetDateTime,
    most: i64,
) -> sqlx::Result<u64> {
    let tenant = tx.tenant();
    let mut gone = 0;
    for statement in statements {
        gone += sqlx::query(statement)
            .bind(tenant.uuid())
            .bind(before)
            .bind(most)
            .execute(&mut **tx)
            .await?
            .rows_affected();
    }
    Ok(gone)
}
