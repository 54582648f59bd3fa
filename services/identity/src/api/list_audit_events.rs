//! `ListAuditEvents`: who did what, newest first.

use lethe_proto::identity::{AuditEvent, ListAuditEventsRequest, ListAuditEventsResponse};
use lethe_service::{Limit, PageKey, instant, page, timestamp};
use tonic::Request;

use super::{Call, Identity};
use crate::{
    Error,
    domain::Invalid,
    store::{self, audit_event::Filter},
};

const LONGEST: usize = 100;

pub(super) async fn handle(
    identity: &Identity,
    request: Request<ListAuditEventsRequest>,
) -> Result<ListAuditEventsResponse, Error> {
    let call = Call::of(&request)?;
    let asked = request.into_inner();
    let (limit, after) = (Limit::of(asked.page.as_ref())?, PageKey::of(asked.page.as_ref())?);
    let filter = Filter {
        actor_id: given("actor_id", asked.actor_id)?,
        action: given("action", asked.action)?,
        target_id: given("target_id", asked.target_id)?,
        from: asked.from.as_ref().map(|from| instant(from, "from")).transpose()?,
        until: asked.until.as_ref().map(|until| instant(until, "until")).transpose()?,
    };
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let mut events = store::audit_event::list(&mut tx, &filter, after, limit).await?;
    drop(tx);
    let next = page::next(&mut events, limit, |event| PageKey { at: event.at, id: event.id.uuid() });
    let events = events
        .into_iter()
        .map(|event| AuditEvent {
            audit_id: event.id.to_string(),
            at: Some(timestamp(event.at)),
            service: event.service,
            actor_kind: event.actor.kind().to_owned(),
            actor_id: event.actor.id(),
            action: event.action,
            target_kind: event.target.kind,
            target_id: event.target.id,
            request_id: event.request_id,
            detail: event.detail,
        })
        .collect();
    Ok(ListAuditEventsResponse { events, next })
}

/// A filter, unless it is empty.
fn given(field: &'static str, text: String) -> Result<Option<String>, Error> {
    if text.len() > LONGEST || text.contains('\0') {
        return Err(Invalid::new(field, "is too long, or holds a zero byte").into());
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}
