//! What every RPC of messaging stands on, and the small steps that many of them share.

use std::sync::Arc;

use lethe_access::principal;
use lethe_ambient::{Clock, Entropy, Tasks};
use lethe_ids::{ContactId, LabelId, TenantId};
use lethe_keyring::Keyring;
use lethe_outbox::{Actor, Audit, Event, Outbox, kind};
use lethe_proto::{event::ContactChanged, request::Idempotency};
use lethe_service::{CallContext, Database, Peers, TenantTx};
use prost::Message;
use tokio::sync::{Notify, OnceCell};
use tonic::Request;
use uuid::Uuid;

use crate::{
    accept::Acceptor,
    config::Config,
    detector::Detector,
    domain::{Invalid, idempotency::IdempotencyKey},
    error::Error,
    routes::Routes,
    store::{
        idempotency::{self, Known, Once},
        label,
    },
    webhooks::post::Post,
};

/// How often a change is begun anew because somebody else was faster.
pub(crate) const ATTEMPTS: usize = 4;

/// The state of the service. One in a process, shared by all calls.
pub(crate) struct State {
    pub(crate) db: Database,
    pub(crate) keyring: Keyring,
    pub(crate) outbox: Outbox,
    pub(crate) acceptor: Acceptor,
    pub(crate) routes: Routes,
    pub(crate) detector: Detector,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) config: Config,
    pub(crate) incarnation: OnceCell<u32>,
    pub(crate) tasks: Tasks,
    pub(crate) peers: Peers,
    pub(crate) post: Post,
    /// Says that a delivery was queued.
    pub(crate) queued: Arc<Notify>,
}

/// Who calls, for which tenant.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) tenant: TenantId,
    pub(crate) actor: lethe_access::Actor,
    request_id: Arc<str>,
}

impl Call {
    /// The call that a person makes.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Error> {
        let principal = principal(request)?;
        Ok(Self {
            tenant: principal.tenant,
            actor: principal.actor(),
            request_id: CallContext::of(request).request_id.clone(),
        })
    }
}

/// What is changed, for the audit trail.
pub(crate) struct Target<'a> {
    pub(crate) kind: &'static str,
    pub(crate) id: &'a str,
    pub(crate) contact: ContactId,
}

/// Where something new comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It happens now.
    Request,
    /// It was elsewhere, and is brought here: nobody is told of it by webhook.
    Import,
}

impl State {
    /// The incarnation of this database. Read once: a restore stops the service first.
    pub(crate) async fn incarnation(&self) -> Result<u32, Error> {
        let read = || lethe_outbox::incarnation(&self.db);
        Ok(*self.incarnation.get_or_try_init(read).await?)
    }

    /// Begins a transaction of the tenant.
    pub(crate) async fn tx(&self, tenant: TenantId) -> Result<TenantTx, Error> {
        Ok(self.db.tenant(tenant).await?)
    }

    /// Commits, and wakes the relay.
    pub(crate) async fn commit(&self, tx: TenantTx) -> Result<(), Error> {
        tx.commit().await?;
        self.outbox.wake();
        Ok(())
    }

    /// Puts who did it into the transaction: the caller, or messaging itself.
    pub(crate) async fn audit(
        &self,
        tx: &mut TenantTx,
        call: impl Into<Option<&Call>>,
        action: &'static str,
        target: &Target<'_>,
    ) -> Result<(), Error> {
        let call = call.into();
        let audit = Audit {
            actor: call.map_or(Actor::Service(crate::NAME), |call| call.actor.into()),
            action,
            target_kind: target.kind,
            target_id: target.id,
            contact: Some(target.contact),
            request_id: call.map_or("", |call| &call.request_id),
        };
        self.outbox.audit(tx, &audit).await?;
        Ok(())
    }

    /// The same of a change of the tenant's settings, which are about nobody. `target` is its kind and its id.
    pub(crate) async fn audit_setting(
        &self,
        tx: &mut TenantTx,
        call: &Call,
        action: &'static str,
        target: (&'static str, &str),
    ) -> Result<(), Error> {
        let audit = Audit {
            actor: call.actor.into(),
            action,
            target_kind: target.0,
            target_id: target.1,
            contact: None,
            request_id: &call.request_id,
        };
        self.outbox.audit(tx, &audit).await?;
        Ok(())
    }

    /// Every label that something is to carry must be in the catalogue.
    pub(crate) async fn require_labels(
        &self,
        tx: &mut TenantTx,
        field: &str,
        labels: &[LabelId],
    ) -> Result<(), Error> {
        if label::are_known(tx, labels).await? {
            return Ok(());
        }
        Err(Invalid::new(field, "has one that is no label of the tenant").into())
    }

    /// Puts `messaging.contact.changed` into the transaction.
    pub(crate) async fn contact_changed(
        &self,
        tx: &mut TenantTx,
        contact: ContactId,
        seq: i64,
    ) -> Result<(), Error> {
        self.contact_changed_by(tx, contact, seq, Origin::Request).await
    }

    /// The same, by an import perhaps.
    pub(crate) async fn contact_changed_by(
        &self,
        tx: &mut TenantTx,
        contact: ContactId,
        seq: i64,
        origin: Origin,
    ) -> Result<(), Error> {
        let imported = origin == Origin::Import;
        let payload = ContactChanged { contact_id: contact.to_string(), version: None, imported };
        let event = Event {
            kind: kind::CONTACT_CHANGED,
            aggregate: contact.uuid(),
            seq: seq.unsigned_abs(),
            payload,
        };
        self.outbox.put(tx, &event).await?;
        Ok(())
    }

    /// The request's key and body as they are stored; `None` when it names no key. `body` is the request without it.
    pub(crate) async fn once(
        &self,
        tenant: TenantId,
        rpc: &'static str,
        given: Option<Idempotency>,
        body: &impl Message,
    ) -> Result<Option<Once>, Error> {
        let Some(given) = given else { return Ok(None) };
        let key = IdempotencyKey::new(given.key)?;
        let macs = self.keyring.blind(tenant).await?;
        let cut = |label: &'static [u8], bytes: &[u8]| {
            let mac = macs.fingerprint(label, bytes);
            let mut half = [0; 16];
            half.copy_from_slice(&mac[..16]);
            Uuid::from_bytes(half)
        };
        let named = [rpc.as_bytes(), b"\0", key.as_str().as_bytes()].concat();
        Ok(Some(Once {
            key_mac: cut(b"messaging idempotency key", &named),
            body_mac: cut(b"messaging request body", &body.encode_to_vec()),
        }))
    }

    /// What the request made when it came before; `None` when it comes for the first time.
    pub(crate) async fn made_before(
        &self,
        tx: &mut TenantTx,
        once: Option<Once>,
        noun: &'static str,
    ) -> Result<Option<Uuid>, Error> {
        let Some(once) = once else { return Ok(None) };
        match idempotency::find(tx, once).await? {
            None => Ok(None),
            Some(Known::Made(resource)) => Ok(Some(resource)),
            Some(Known::OtherBody) => Err(Error::KeyReused),
            Some(Known::Gone) => Err(Error::Gone(noun)),
        }
    }
}
