//! The audit trail: who did what, when.

use lethe_proto::identity::{self as proto, ListAuditEventsRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    body::Reply,
    json::{At, PageLimit, Text, instant, present},
    problem::Problem,
    query::Query,
    session::Acting,
};

/// Something that was done.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditEvent {
    #[schema(example = "aud_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    audit_id: String,
    #[schema(value_type = String, format = DateTime)]
    at: Option<String>,
    /// The service that recorded it.
    #[schema(example = "messaging")]
    service: String,
    /// `member`, `api_key`, `operator` or `service`.
    #[schema(example = "member")]
    actor_kind: String,
    /// The id of the member, the key or the operator's access, or the service's name.
    #[schema(example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    actor_id: String,
    #[schema(example = "DeleteMessage")]
    action: String,
    #[schema(example = "message")]
    target_kind: Option<String>,
    /// After an erasure of a contact: the erasure's id.
    #[schema(example = "msg_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    target_id: Option<String>,
    request_id: Option<String>,
    /// A code that the action leaves open, as the role that was granted.
    #[schema(example = "auditor")]
    detail: Option<String>,
}

impl From<proto::AuditEvent> for AuditEvent {
    fn from(event: proto::AuditEvent) -> Self {
        Self {
            audit_id: event.audit_id,
            at: instant(event.at),
            service: event.service,
            actor_kind: event.actor_kind,
            actor_id: event.actor_id,
            action: event.action,
            target_kind: present(event.target_kind),
            target_id: present(event.target_id),
            request_id: present(event.request_id),
            detail: present(event.detail),
        }
    }
}

/// Which of them.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichEvents {
    /// Who did it.
    #[param(value_type = Option<String>, example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    actor_id: Option<Text>,
    /// What was done.
    #[param(value_type = Option<String>, example = "DeleteMessage")]
    action: Option<Text>,
    /// To what.
    #[param(value_type = Option<String>, example = "msg_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    target_id: Option<Text>,
    /// Not before (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<At>,
    /// Before (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<At>,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
    /// `next` of the page before; absent for the first page.
    #[param(value_type = Option<String>)]
    after: Option<Text>,
}

/// A page of the audit trail, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditEventPage {
    events: Vec<AuditEvent>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists the audit trail, newest first.
#[utoipa::path(get, path = "/v1/audit-events", tag = "audit", params(WhichEvents),
    responses((status = 200, body = AuditEventPage)),
    extensions(("x-lethe-rpc" = json!("ListAuditEvents"))))]
pub(crate) async fn list_audit_events(
    acting: Acting,
    Query(query): Query<WhichEvents>,
) -> Result<Reply<AuditEventPage>, Problem> {
    let WhichEvents { actor_id, action, target_id, from, until, limit, after } = query;
    let filters = format!("{:?}", (&actor_id, &action, &target_id, from, until));
    let list = acting.list("ListAuditEvents", &filters);
    let request = ListAuditEventsRequest {
        actor_id: actor_id.unwrap_or_default().0,
        action: action.unwrap_or_default().0,
        target_id: target_id.unwrap_or_default().0,
        from: from.map(At::timestamp),
        until: until.map(At::timestamp),
        page: list.page(limit, after.as_ref().map(|after| after.0.as_str()))?,
    };
    let answer = acting.identity().list_audit_events(request).await?.into_inner();
    let next = list.next(&answer.next);
    Ok(Reply::ok(AuditEventPage { events: answer.events.into_iter().map(Into::into).collect(), next }))
}
