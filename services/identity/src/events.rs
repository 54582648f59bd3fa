//! Events consumed: the audit events of the other services. Rows must not double, so each goes in with its inbox row; and
//! one about a contact that is being erased, however late, goes in under the erasure's id.

use lethe_access::IDENTITY;
use lethe_ids::{AuditId, ContactId, TenantId};
use lethe_outbox::{Consume, ConsumeError, Notification, seen};
use lethe_proto::event::AuditRecorded;
use lethe_service::Failure;
use time::OffsetDateTime;
use tonic::Code;
use tracing::Instrument;

use crate::{
    Error,
    api::Identity,
    domain::audit::{Actor, AuditEvent, Target, contact_hash},
    store,
};

/// The consumer's name on the bus and in the inbox. It must not change.
pub const AUDIT_CONSUMER: &str = "identity_audit";
/// Longest text of an event that is kept: longer is not one of ours.
const LONGEST: usize = 200;

/// Takes in the audit events of other services.
pub struct AuditEvents(pub Identity);

impl Consume for AuditEvents {
    async fn consume(&self, batch: Vec<Notification>) -> Vec<Result<(), ConsumeError>> {
        let mut answers = Vec::with_capacity(batch.len());
        for notification in batch {
            let span = notification.span.clone();
            answers.push(self.record(notification).instrument(span).await);
        }
        answers
    }
}

impl AuditEvents {
    /// One event: its row and its inbox row, or nothing.
    ///
    /// # Errors
    /// [`ConsumeError::Reject`] for what is no audit event; otherwise it is worth another try.
    pub async fn record(&self, notification: Notification) -> Result<(), ConsumeError> {
        let event = read(&notification).ok_or(ConsumeError::Reject("AUDIT_EVENT_MALFORMED"))?;
        self.write(notification.tenant, &notification, event).await.map_err(|error| {
            let failure = Failure::from(error);
            match failure.code {
                Code::Unavailable => ConsumeError::Unavailable(failure.into()),
                _ => ConsumeError::Retry("AUDIT_EVENT_NOT_WRITTEN", failure.into()),
            }
        })
    }

    async fn write(
        &self,
        tenant: TenantId,
        notification: &Notification,
        event: AuditEvent,
    ) -> Result<(), Error> {
        let identity = &self.0;
        let mut tx = identity.0.db.tenant(tenant).await?;
        if seen(&mut tx, AUDIT_CONSUMER, notification.event_id).await? {
            return Ok(());
        }
        let mut erasure = None;
        if let Some(contact) = event.target.contact {
            let hash = contact_hash(tenant, contact);
            store::fence::hold_off(&mut tx, &hash).await?;
            erasure = store::fence::erasure_of(&mut tx, &hash).await?;
        }
        let salts = identity.salts();
        match erasure {
            Some(erasure) => {
                store::audit_event::insert_aliased(&mut tx, &event, &salts, erasure).await?;
            }
            None => store::audit_event::insert(&mut tx, &event, &salts).await?,
        }
        Ok(tx.commit().await?)
    }
}

/// The event, if it is one: `None` for ids that are none, texts that are too long, and for our own area.
fn read(notification: &Notification) -> Option<AuditEvent> {
    let service = notification.kind.strip_suffix(".audit.recorded").filter(|area| *area != IDENTITY)?;
    let event: AuditRecorded = notification.decode().ok()?;
    let texts = [&event.actor_id, &event.action, &event.target_kind, &event.target_id, &event.request_id];
    if texts.iter().any(|text| text.len() > LONGEST || text.contains('\0')) {
        return None;
    }
    let actor = match event.actor_kind.as_str() {
        "member" => Actor::Member(event.actor_id.parse().ok()?),
        "api_key" => Actor::ApiKey(event.actor_id.parse().ok()?),
        "operator" => Actor::Operator(event.actor_id.parse().ok()?),
        "service" => Actor::Service(event.actor_id),
        _ => return None,
    };
    let contact: Option<ContactId> = match event.contact_id.as_str() {
        "" => None,
        contact => Some(contact.parse().ok()?),
    };
    Some(AuditEvent {
        id: event.audit_id.parse::<AuditId>().ok()?,
        at: OffsetDateTime::from_unix_timestamp_nanos(i128::from(event.at_ms) * 1_000_000).ok()?,
        service: service.to_owned(),
        actor,
        action: event.action,
        target: Target { kind: event.target_kind, id: event.target_id, contact },
        request_id: event.request_id,
        detail: String::new(),
    })
}
