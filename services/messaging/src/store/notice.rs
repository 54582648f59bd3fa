//! Notices of erasure (GDPR Art. 19): whoever was sent events about a contact is told when the contact, or a part of it, is erased.
//! Those of a contact are laid down with the fence, held back until the purge is done, and then sent like any delivery: once its
//! contact is fenced, a notice is all that says who was told. Those of a part come with its purge, since the contact lives on.

use lethe_ids::{
    ContactId, ConversationId, ErasureId, EventId, ScopeId, WebhookDeliveryId, WebhookEndpointId,
};
use lethe_proto::messaging::WebhookEventType;
use lethe_service::TenantTx;
use time::OffsetDateTime;
use uuid::Uuid;

/// Why nothing can be told to a receiver: it is not registered any more, or has said that it is not there (410).
const UNREACHABLE: [&str; 2] = ["ENDPOINT_DELETED", "ENDPOINT_GONE"];

/// A receiver of events about the contact, and why it can not be told, if it can't.
pub(crate) type Recipient = (WebhookEndpointId, Option<&'static str>);

/// To which endpoints events about the contact were sent, first `before` then.
pub(crate) async fn recipients(
    tx: &mut TenantTx,
    contact: ContactId,
    before: OffsetDateTime,
) -> sqlx::Result<Vec<Recipient>> {
    let tenant = tx.tenant();
    let rows: Vec<(Uuid, bool, bool)> = sqlx::query_as(
        "select r.endpoint_id, e.endpoint_id is null, coalesce(e.state = 4, false) from recipients r
           left join webhook_endpoints e on e.tenant_id = r.tenant_id and e.endpoint_id = r.endpoint_id and e.state <> 6
          where r.tenant_id = $1 and r.contact_id = $2 and r.first_at <= $3 order by 1",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .bind(before)
    .fetch_all(&mut **tx)
    .await?;
    let why = |is_deleted, is_gone| match (is_deleted, is_gone) {
        (true, _) => Some(UNREACHABLE[0]),
        (_, true) => Some(UNREACHABLE[1]),
        _ => None,
    };
    Ok(rows
        .into_iter()
        .map(|(endpoint, is_deleted, is_gone)| (WebhookEndpointId::new(endpoint), why(is_deleted, is_gone)))
        .collect())
}

/// Lays a notice down, held back: of a whole contact, or of these `conversations`. One to an endpoint that can not be told has failed
/// already. It is kept until the erasure is done.
pub(crate) async fn insert(
    tx: &mut TenantTx,
    (delivery, event): (WebhookDeliveryId, EventId),
    (endpoint, unreachable): Recipient,
    (scope, conversations): (ScopeId, Option<&[ConversationId]>),
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    let event_type = match conversations {
        None => WebhookEventType::ContactErased,
        Some(_) => WebhookEventType::ConversationErased,
    };
    let conversations: Option<Vec<Uuid>> =
        conversations.map(|conversations| conversations.iter().map(|id| id.uuid()).collect());
    let tenant = tx.tenant();
    sqlx::query(
        "insert into webhook_deliveries (tenant_id, delivery_id, endpoint_id, event_id, event_type, happened_at, scope_id,
                                         conversation_id, state, last_failure, created_at, is_kept, erased_conversations)
         values ($1, $2, $3, $4, $10, $6, $5, $9, $7, $8, $6, true, $11)",
    )
    .bind(tenant.uuid())
    .bind(delivery.uuid())
    .bind(endpoint.uuid())
    .bind(event.uuid())
    .bind(scope.uuid())
    .bind(at)
    .bind(if unreachable.is_none() { 1_i16 } else { 3 })
    .bind(unreachable)
    .bind(Uuid::nil())
    .bind(event_type as i16)
    .bind(conversations)
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

/// An endpoint has said that it is not there any more: its notices are tried no further.
pub(crate) async fn give_up(tx: &mut TenantTx, endpoint: WebhookEndpointId) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update webhook_deliveries set state = 3, last_failure = $3, next_attempt_at = null
          where tenant_id = $1 and endpoint_id = $2 and scope_id is not null and state = 1",
    )
    .bind(tenant.uuid())
    .bind(endpoint.uuid())
    .bind(UNREACHABLE[1])
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The last certificate of an erasure is signed: its notices are listed as long as any delivery, and then go.
pub(crate) async fn let_go(tx: &mut TenantTx, erasure: ErasureId) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update webhook_deliveries set is_kept = false where tenant_id = $1 and scope_id in
           (select scope_id from fences where tenant_id = $1 and erasure_id = $2)",
    )
    .bind(tenant.uuid())
    .bind(erasure.uuid())
    .execute(&mut **tx)
    .await?;
    Ok(())
}
