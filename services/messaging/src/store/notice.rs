//! Notices of erasure (GDPR Art. 19): whoever was sent events about a contact is told when the contact is erased. They are
//! laid down with the fence, held back until the purge is done, and then sent like any delivery. Once its contact is fenced,
//! a notice is all that says who was told.

use lethe_ids::{ContactId, EventId, ScopeId, WebhookDeliveryId, WebhookEndpointId};
use lethe_service::TenantTx;
use time::OffsetDateTime;
use uuid::Uuid;

/// What a receiver that is not registered any more is told: nothing can be.
const ENDPOINT_DELETED: &str = "ENDPOINT_DELETED";

/// To which endpoints events about the contact were sent, and whether they are still there.
pub(crate) async fn recipients(
    tx: &mut TenantTx,
    contact: ContactId,
) -> sqlx::Result<Vec<(WebhookEndpointId, bool)>> {
    let tenant = tx.tenant();
    let rows: Vec<(Uuid, bool)> = sqlx::query_as(
        "select r.endpoint_id, e.endpoint_id is not null from recipients r
           left join webhook_endpoints e on e.tenant_id = r.tenant_id and e.endpoint_id = r.endpoint_id and e.state <> 6
          where r.tenant_id = $1 and r.contact_id = $2 order by 1",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|(endpoint, is_there)| (WebhookEndpointId::new(endpoint), is_there)).collect())
}

/// Lays a notice down, held back; one to an endpoint that is not there has failed already.
pub(crate) async fn insert(
    tx: &mut TenantTx,
    (delivery, event): (WebhookDeliveryId, EventId),
    (endpoint, is_there): (WebhookEndpointId, bool),
    scope: ScopeId,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into webhook_deliveries (tenant_id, delivery_id, endpoint_id, event_id, event_type, happened_at, scope_id,
                                         conversation_id, state, last_failure, created_at)
         values ($1, $2, $3, $4, 5, $6, $5, $9, $7, $8, $6)",
    )
    .bind(tenant.uuid())
    .bind(delivery.uuid())
    .bind(endpoint.uuid())
    .bind(event.uuid())
    .bind(scope.uuid())
    .bind(at)
    .bind(if is_there { 1_i16 } else { 3 })
    .bind((!is_there).then_some(ENDPOINT_DELETED))
    .bind(Uuid::nil())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Lets the notices of a scope go out, once.
pub(crate) async fn release(tx: &mut TenantTx, scope: ScopeId, at: OffsetDateTime) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "with told as (
           update webhook_deliveries set next_attempt_at = $3
            where tenant_id = $1 and scope_id = $2 and state = 1 and attempts = 0 and next_attempt_at is null
           returning endpoint_id)
         update webhook_endpoints e set due_at = least(coalesce(due_at, $3), $3)
           from told where e.tenant_id = $1 and e.endpoint_id = told.endpoint_id",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
