//! Putting events: in the transaction of the change, by one SQL function.

use std::sync::Arc;

use lethe_ambient::{Clock, Entropy};
use lethe_ids::{ApiKeyId, AuditId, ContactId, MemberId, OperatorAccessId};
use lethe_proto::event::AuditRecorded;
use lethe_service::{TenantTx, Trace};
use prost::Message;
use tokio::sync::Notify;

use crate::{Event, kinds};

/// The way out of a service's database. Clones share the relay's alarm.
#[derive(Clone)]
pub struct Outbox {
    audit_kind: &'static str,
    clock: Clock,
    entropy: Entropy,
    wake: Arc<Notify>,
}

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor<'a> {
    /// A person of the tenant.
    Member(MemberId),
    /// A program of the tenant's.
    ApiKey(ApiKeyId),
    /// Somebody of the platform's, by a grant of the tenant's.
    Operator(OperatorAccessId),
    /// One of our services, by name.
    Service(&'a str),
}

impl From<lethe_access::Actor> for Actor<'_> {
    fn from(actor: lethe_access::Actor) -> Self {
        match actor {
            lethe_access::Actor::Member(member) => Self::Member(member),
            lethe_access::Actor::ApiKey(key) => Self::ApiKey(key),
            lethe_access::Actor::Operator(access) => Self::Operator(access),
        }
    }
}

/// Somebody did something. Ids and codes only.
#[derive(Debug, Clone, Copy)]
pub struct Audit<'a> {
    /// Who.
    pub actor: Actor<'a>,
    /// The RPC's or job's name: `DeleteMessage`.
    pub action: &'a str,
    /// What it was done to: `message`.
    pub target_kind: &'a str,
    /// Its id, as text with its prefix.
    pub target_id: &'a str,
    /// The contact that the target is about, if any.
    pub contact: Option<ContactId>,
    /// Of the request that asked for it.
    pub request_id: &'a str,
}

impl Outbox {
    /// The outbox of a service. `audit_kind` is its kind of audit event, such as
    /// [`kind::MESSAGING_AUDIT_RECORDED`](crate::kind::MESSAGING_AUDIT_RECORDED).
    pub fn new(audit_kind: &'static str, clock: Clock, entropy: Entropy) -> Self {
        Self { audit_kind, clock, entropy, wake: Arc::new(Notify::new()) }
    }

    /// Puts an event into the transaction. It is published once that commits; [`Outbox::wake`] makes it soon.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn put<P: Message>(&self, tx: &mut TenantTx, event: &Event<P>) -> Result<(), sqlx::Error> {
        debug_assert!(kinds::find(event.kind).is_some(), "{} is not registered", event.kind);
        let tenant = tx.tenant();
        sqlx::query("select outbox_put_v1($1, $2, $3, $4, $5, $6)")
            .bind(tenant.uuid())
            .bind(event.aggregate)
            .bind(i64::try_from(event.seq).unwrap_or(i64::MAX))
            .bind(event.kind)
            .bind(event.payload.encode_to_vec())
            .bind(Trace::current().map(Trace::text))
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    /// Puts the service's `<area>.audit.recorded` into the transaction, and answers the audit event's id.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn audit(&self, tx: &mut TenantTx, audit: &Audit<'_>) -> Result<AuditId, sqlx::Error> {
        let id = AuditId::new(self.entropy.uuid7(&self.clock));
        let (actor_kind, actor_id) = match audit.actor {
            Actor::Member(member) => ("member", member.to_string()),
            Actor::ApiKey(key) => ("api_key", key.to_string()),
            Actor::Operator(access) => ("operator", access.to_string()),
            Actor::Service(service) => ("service", service.to_owned()),
        };
        let payload = AuditRecorded {
            audit_id: id.to_string(),
            at_ms: self.clock.millis(),
            actor_kind: actor_kind.to_owned(),
            actor_id,
            action: audit.action.to_owned(),
            target_kind: audit.target_kind.to_owned(),
            target_id: audit.target_id.to_owned(),
            contact_id: audit.contact.map(|contact| contact.to_string()).unwrap_or_default(),
            request_id: audit.request_id.to_owned(),
        };
        let aggregate = audit.contact.map_or(id.uuid(), ContactId::uuid);
        self.put(tx, &Event { kind: self.audit_kind, aggregate, seq: 0, payload }).await?;
        Ok(id)
    }

    /// Tells the relay in this process that something was committed. Costs nothing to speak of.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// What the relay waits on.
    pub(crate) fn alarm(&self) -> Arc<Notify> {
        self.wake.clone()
    }
}
