//! Events as they are put, and as they arrive: CloudEvents 1.0 in the binary mode of its NATS binding, header names
//! exactly lower-case (NATS compares them by case), the payload protobuf.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::{BufMut, Bytes, BytesMut};
use lethe_ids::{EventId, TenantId};
use lethe_proto::event::Version;
use lethe_service::{Trace, names};
use prost::Message;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::Span;
use uuid::Uuid;

use crate::kinds;

/// Something that happened to an aggregate.
#[derive(Debug, Clone)]
pub struct Event<P> {
    /// One of [`kind`](crate::kind): `messaging.message.changed`.
    pub kind: &'static str,
    /// What it happened to; for anything about a person, the contact.
    pub aggregate: Uuid,
    /// The aggregate's sequence after the change; 0 where there is none.
    pub seq: u64,
    /// A message of `lethe.event.v1` with ids in it. Its `version` stays unset: the relay fills it in.
    pub payload: P,
}

/// An event as it reached a consumer.
#[derive(Debug, Clone)]
pub struct Notification {
    /// The same each time that the event is delivered.
    pub event_id: EventId,
    /// Whose event it is.
    pub tenant: TenantId,
    /// `messaging.message.changed`.
    pub kind: String,
    /// A message of `lethe.event.v1`.
    pub payload: Bytes,
    /// When it was put.
    pub at: OffsetDateTime,
    /// Which try this is, from 1. A delivery that met an outage is none.
    pub attempt: u32,
    /// The producer's span, where it was traced.
    pub trace: Option<Trace>,
    /// The span of its processing, a child of the producer's. Work for this event alone is instrumented with it.
    pub span: Span,
}

/// An event that does not read as one of ours. Its payload is not quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A header is missing or does not parse.
    #[error("the header {0} is missing or malformed")]
    Header(&'static str),
    /// The subject is none of ours.
    #[error("the subject is not lethe.evt.<area>.<noun>.<past verb>.v1.<tenant>")]
    Subject,
    /// The payload is not the protobuf message of its kind.
    #[error("the payload is not the message of its kind")]
    Payload,
}

impl Notification {
    /// The payload as its message.
    ///
    /// # Errors
    /// [`Malformed::Payload`].
    pub fn decode<M: Message + Default>(&self) -> Result<M, Malformed> {
        M::decode(self.payload.clone()).map_err(|_| Malformed::Payload)
    }

    /// Reads a message off the bus.
    pub(crate) fn read(
        subject: &str,
        headers: Option<&HeaderMap>,
        payload: Bytes,
        attempt: u32,
    ) -> Result<Self, Malformed> {
        let (kind, tenant) = read_subject(subject).ok_or(Malformed::Subject)?;
        let header = |name: &'static str| {
            headers.and_then(|all| all.get(name)).map(|value| value.as_str()).ok_or(Malformed::Header(name))
        };
        let event_id = header(CE_ID)?.parse().map_err(|_| Malformed::Header(CE_ID))?;
        let at = OffsetDateTime::parse(header(CE_TIME)?, &Rfc3339).map_err(|_| Malformed::Header(CE_TIME))?;
        Ok(Self {
            event_id,
            tenant,
            kind: kind.to_owned(),
            payload,
            at,
            attempt,
            trace: header(names::TRACEPARENT).ok().and_then(Trace::parse),
            span: Span::none(),
        })
    }
}

/// NATS's own, by which it knows a duplicate.
pub(crate) const NATS_MESSAGE_ID: &str = "Nats-Msg-Id";
pub(crate) const CE_ID: &str = "ce-id";
pub(crate) const CE_TIME: &str = "ce-time";

/// A row of the outbox on its way to the bus.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) tenant: TenantId,
    pub(crate) event_id: EventId,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) seq: i64,
    pub(crate) kind: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) trace_parent: Option<String>,
}

impl Outgoing {
    /// `lethe.evt.<area>.<noun>.<past verb>.v1.<tenant>`.
    pub(crate) fn subject(&self) -> String {
        format!("lethe.evt.{}.v1.{}", self.kind, self.tenant.uuid().simple())
    }

    /// The headers. `Nats-Msg-Id` is NATS's own and keeps its case.
    pub(crate) fn headers(&self) -> HeaderMap {
        let area = self.kind.split('.').next().unwrap_or_default();
        let id = self.event_id.to_string();
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, id.as_str());
        headers.insert("ce-specversion", "1.0");
        headers.insert(CE_ID, id);
        headers.insert("ce-source", format!("/lethe/{area}"));
        headers.insert("ce-type", format!("lethe.{}.v1", self.kind));
        headers.insert(CE_TIME, self.created_at.format(&Rfc3339).unwrap_or_default());
        headers.insert("content-type", "application/protobuf");
        if let Some(parent) = &self.trace_parent {
            headers.insert(names::TRACEPARENT, parent.as_str());
        }
        headers
    }

    /// The payload with its version at the end: in protobuf a field that comes again is merged.
    pub(crate) fn body(&self, incarnation: u32) -> Bytes {
        let field = kinds::find(&self.kind).and_then(|kind| kind.version_field);
        let mut body = BytesMut::with_capacity(self.payload.len() + 24);
        body.put_slice(&self.payload);
        if let Some(field) = field {
            let version = Version { incarnation, seq: self.seq.unsigned_abs() };
            prost::encoding::message::encode(field, &version, &mut body);
        }
        body.freeze()
    }
}

/// Kind and tenant from a subject.
fn read_subject(subject: &str) -> Option<(&str, TenantId)> {
    let rest = subject.strip_prefix("lethe.evt.")?;
    let (rest, tenant) = rest.rsplit_once('.')?;
    let kind = rest.strip_suffix(".v1")?;
    Some((kind, TenantId::new(Uuid::try_parse(tenant).ok()?)))
}

/// How long an event stays in the outbox and on the bus.
pub(crate) const KEPT: Duration = Duration::from_secs(72 * 3600);
