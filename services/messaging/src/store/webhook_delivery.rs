//! Deliveries: events on their way to endpoints, and who was sent what of whom. How they are sent is `webhook_turn.rs`.

use std::time::Duration;

use lethe_ids::{
    ContactId, ConversationId, ErasureId, EventId, MessageId, WebhookDeliveryId, WebhookEndpointId,
};
use lethe_service::TenantTx;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::webhook::About;

/// Whom a webhook is a means to tell.
const WEBHOOK: i16 = 1;

/// A delivery as it is stored.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct DeliveryRow {
    delivery_id: Uuid,
    endpoint_id: Uuid,
    event_id: Uuid,
    /// As the contract has it.
    pub(crate) event_type: i16,
    /// When the event happened.
    pub(crate) happened_at: OffsetDateTime,
    contact_id: Option<Uuid>,
    conversation_id: Uuid,
    message_id: Option<Uuid>,
    erasure_id: Option<Uuid>,
    erasure_state: Option<String>,
    /// Of a notice that is due: whose erasure it says.
    #[sqlx(default)]
    erased: Option<Uuid>,
    /// All ids of the person, where it was several contacts.
    #[sqlx(default)]
    erased_ids: Option<Vec<Uuid>>,
    /// Where a part was erased: which conversations.
    #[sqlx(default)]
    erased_conversations: Option<Vec<Uuid>>,
    /// As the contract has it.
    pub(crate) state: i16,
    /// How many were begun.
    pub(crate) attempts: i32,
    /// When the next one is due.
    pub(crate) next_attempt_at: Option<OffsetDateTime>,
    /// When the last one began.
    pub(crate) last_attempt_at: Option<OffsetDateTime>,
    /// The status it was answered with.
    pub(crate) last_status: Option<i16>,
    /// Why it failed.
    pub(crate) last_failure: Option<String>,
    /// When it was queued.
    pub(crate) created_at: OffsetDateTime,
}

impl DeliveryRow {
    /// Which delivery.
    pub(crate) fn id(&self) -> WebhookDeliveryId {
        WebhookDeliveryId::new(self.delivery_id)
    }
    /// To whom.
    pub(crate) fn endpoint(&self) -> WebhookEndpointId {
        WebhookEndpointId::new(self.endpoint_id)
    }
    /// Of which event.
    pub(crate) fn event(&self) -> EventId {
        EventId::new(self.event_id)
    }
    /// Whether it is a notice of erasure that is due.
    pub(crate) fn is_notice(&self) -> bool {
        self.erased.is_some()
    }
    /// What it says. A notice of erasure says whose erasure it was when it is due, and to nobody before.
    pub(crate) fn about(&self) -> About {
        if let Some(erased) = self.erased {
            return self.notice(erased);
        }
        About {
            contact: self.contact_id.map(ContactId::new),
            conversation: (!self.conversation_id.is_nil()).then(|| ConversationId::new(self.conversation_id)),
            message: self.message_id.map(MessageId::new),
            erasure: self.erasure_id.map(ErasureId::new),
            erasure_state: self.erasure_state.clone(),
            ..About::default()
        }
    }
    fn notice(&self, erased: Uuid) -> About {
        let others = self.erased_ids.iter().flatten().filter(|id| **id != erased);
        let conversations = self.erased_conversations.iter().flatten();
        let mut conversations = conversations.copied().map(ConversationId::new);
        About {
            contact: Some(ContactId::new(erased)),
            others: others.copied().map(ContactId::new).collect(),
            conversation: conversations.next(),
            other_conversations: conversations.collect(),
            ..About::default()
        }
    }
}

/// An event to be delivered.
#[derive(Debug)]
pub(crate) struct NewDelivery<'a> {
    pub(crate) delivery: WebhookDeliveryId,
    pub(crate) endpoint: WebhookEndpointId,
    pub(crate) event: EventId,
    pub(crate) event_type: i16,
    pub(crate) happened_at: OffsetDateTime,
    pub(crate) about: &'a About,
    pub(crate) at: OffsetDateTime,
}

/// The enabled endpoints that want to hear of the type and were there when it happened, locked: whoever looks what is due next
/// waits for this transaction.
pub(crate) async fn lock_listening(
    tx: &mut TenantTx,
    event_type: i16,
    happened_at: OffsetDateTime,
) -> sqlx::Result<Vec<WebhookEndpointId>> {
    let tenant = tx.tenant();
    let found: Vec<Uuid> = sqlx::query_scalar(
        "select endpoint_id from webhook_endpoints
          where tenant_id = $1 and state = 1 and $2 = any (event_types) and listens_from <= $3
          order by endpoint_id for update",
    )
    .bind(tenant.uuid())
    .bind(event_type)
    .bind(happened_at)
    .fetch_all(&mut **tx)
    .await?;
    Ok(found.into_iter().map(WebhookEndpointId::new).collect())
}

/// Queues an event for an endpoint whose lock the caller holds; one that is queued already stays as it is.
pub(crate) async fn insert(tx: &mut TenantTx, new: &NewDelivery<'_>) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let inserted = sqlx::query(
        "with put as (
           insert into webhook_deliveries (tenant_id, delivery_id, endpoint_id, event_id, event_type, happened_at, contact_id,
                                           conversation_id, message_id, erasure_id, erasure_state, state, next_attempt_at,
                                           created_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, $12)
           on conflict (tenant_id, endpoint_id, event_id) do nothing
           returning endpoint_id)
         update webhook_endpoints e set due_at = least(coalesce(due_at, $12), $12)
           from put where e.tenant_id = $1 and e.endpoint_id = put.endpoint_id",
    )
    .bind(tenant.uuid())
    .bind(new.delivery.uuid())
    .bind(new.endpoint.uuid())
    .bind(new.event.uuid())
    .bind(new.event_type)
    .bind(new.happened_at)
    .bind(new.about.contact.map(ContactId::uuid))
    .bind(new.about.conversation.map_or(Uuid::nil(), ConversationId::uuid))
    .bind(new.about.message.map(MessageId::uuid))
    .bind(new.about.erasure.map(ErasureId::uuid))
    .bind(new.about.erasure_state.as_deref())
    .bind(new.at)
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// One delivery.
pub(crate) async fn find(
    tx: &mut TenantTx,
    delivery: WebhookDeliveryId,
) -> sqlx::Result<Option<DeliveryRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select delivery_id, endpoint_id, event_id, event_type, happened_at, contact_id::uuid, conversation_id::uuid,
                message_id, erasure_id, erasure_state, state, attempts, next_attempt_at, last_attempt_at, last_status,
                last_failure, created_at
           from webhook_deliveries where tenant_id = $1 and delivery_id = $2",
    )
    .bind(tenant.uuid())
    .bind(delivery.uuid())
    .fetch_optional(&mut **tx)
    .await
}

/// Which deliveries are listed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Filter {
    pub(crate) endpoint: Option<WebhookEndpointId>,
    pub(crate) state: Option<i16>,
    pub(crate) event_type: Option<i16>,
}

/// The newest older than `before`. What is about a fenced contact or conversation is not there.
pub(crate) async fn list(
    tx: &mut TenantTx,
    filter: Filter,
    before: Uuid,
    most: i64,
) -> sqlx::Result<Vec<DeliveryRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select delivery_id, endpoint_id, event_id, event_type, happened_at, contact_id::uuid, conversation_id::uuid,
                message_id, erasure_id, erasure_state, state, attempts, next_attempt_at, last_attempt_at, last_status,
                last_failure, created_at
           from webhook_deliveries d
          where tenant_id = $1 and delivery_id < $2 and ($4::uuid is null or endpoint_id = $4)
            and ($5::smallint is null or state = $5) and ($6::smallint is null or event_type = $6)
            and (contact_id is null or exists (select from contact_head h
                  where h.tenant_id = d.tenant_id and h.contact_id = d.contact_id and not h.fenced
                    and not (d.conversation_id = any (h.fenced_conversations))))
          order by delivery_id desc limit $3",
    )
    .bind(tenant.uuid())
    .bind(before)
    .bind(most)
    .bind(filter.endpoint.map(WebhookEndpointId::uuid))
    .bind(filter.state)
    .bind(filter.event_type)
    .fetch_all(&mut **tx)
    .await
}

/// Begins a delivery anew. A notice of erasure goes out `settled_after` the purge of its scope at the earliest: `false` while that
/// is not done. The caller holds the endpoint's lock.
pub(crate) async fn replay(
    tx: &mut TenantTx,
    delivery: WebhookDeliveryId,
    at: OffsetDateTime,
    settled_after: Duration,
) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let begun = sqlx::query(
        "update webhook_deliveries d set state = 1, attempts = 0,
                next_attempt_at = greatest($3, (select f.purged_at + $4 from fences f
                                                 where f.tenant_id = d.tenant_id and f.scope_id = d.scope_id))
          where tenant_id = $1 and delivery_id = $2
            and (scope_id is null or exists (select from fences f
                  where f.tenant_id = d.tenant_id and f.scope_id = d.scope_id and f.purged_at is not null))",
    )
    .bind(tenant.uuid())
    .bind(delivery.uuid())
    .bind(at)
    .bind(settled_after)
    .execute(&mut **tx)
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// Deletes one: whom it is about is being erased.
pub(crate) async fn delete(tx: &mut TenantTx, delivery: WebhookDeliveryId) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query("delete from webhook_deliveries where tenant_id = $1 and delivery_id = $2")
        .bind(tenant.uuid())
        .bind(delivery.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Deletes at most `most` that were queued before `before`; not notices of an erasure that is not done. Answers how many.
pub(crate) async fn forget(tx: &mut TenantTx, before: OffsetDateTime, most: i64) -> sqlx::Result<u64> {
    let tenant = tx.tenant();
    let gone = sqlx::query(
        "delete from webhook_deliveries where tenant_id = $1 and delivery_id in
           (select delivery_id from webhook_deliveries
             where tenant_id = $1 and created_at < $2 and not is_kept limit $3)",
    )
    .bind(tenant.uuid())
    .bind(before)
    .bind(most)
    .execute(&mut **tx)
    .await?;
    Ok(gone.rows_affected())
}

/// Notes, before it is, that the contact's data is sent to the endpoint. The caller has met the contact's fence.
pub(crate) async fn note_recipient(
    tx: &mut TenantTx,
    recipient: Uuid,
    contact: ContactId,
    endpoint: WebhookEndpointId,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into recipients (tenant_id, recipient_id, contact_id, endpoint_id, means, first_at, last_at)
         values ($1, $2, $3, $4, $5, $6, $6)
         on conflict (tenant_id, contact_id, endpoint_id, means) do update set last_at = excluded.last_at",
    )
    .bind(tenant.uuid())
    .bind(recipient)
    .bind(contact.uuid())
    .bind(endpoint.uuid())
    .bind(WEBHOOK)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
