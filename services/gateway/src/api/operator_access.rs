//! What operators of the platform may see and do, by a grant of the tenant's alone.

use lethe_access::Revoked;
use lethe_ids::OperatorAccessId;
use lethe_proto::{
    access,
    identity::{
        self as proto, ApproveOperatorAccessRequest, DenyOperatorAccessRequest, GrantOperatorAccessRequest,
        ListOperatorAccessRequest, RevokeOperatorAccessRequest,
    },
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::Page;
use crate::{
    body::{Json, NoBody, Reply},
    json::{Text, instant, present, wire_enum},
    path::Id,
    precondition::IdempotencyKey,
    problem::Problem,
    query::Query,
    session::Acting,
};

wire_enum! {
    /// Why an operator has access.
    OperatorAccessReason is proto::OperatorAccessReason {
        /// The tenant asked for help.
        Support = "support",
        /// Something is broken, or somebody broke in.
        Incident = "incident",
        /// A change that needs looking at data.
        Maintenance = "maintenance",
        /// An obligation of law.
        Legal = "legal",
    }
}

wire_enum! {
    /// Where an operator's access stands.
    OperatorAccessState is proto::OperatorAccessState {
        /// Waits for the tenant.
        Requested = "requested",
        /// Granted.
        Granted = "granted",
        /// Refused by the tenant.
        Denied = "denied",
        /// Ended by the tenant.
        Revoked = "revoked",
        /// Its time is over, or nobody answered in time.
        Expired = "expired",
    }
}

wire_enum! {
    /// What an operator can be granted.
    OperatorPermission is access::Permission {
        /// Contacts, conversations, messages and search.
        ReadInbox = "read_inbox",
        /// Edit or delete a message; change a conversation.
        Edit = "edit",
        /// Create and rectify contacts; consent, opt-out and restriction.
        UserData = "user_data",
        /// Erasures and their certificates.
        ReadErasures = "read_erasures",
        /// The audit trail.
        ReadAudit = "read_audit",
    }
}

/// An operator's access.
#[derive(Serialize, ToSchema)]
pub(crate) struct OperatorAccess {
    #[schema(example = "opa_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    operator_access_id: String,
    /// The operator's handle.
    #[schema(example = "j.doe")]
    operator: String,
    #[schema(value_type = OperatorAccessReason)]
    reason: &'static str,
    #[schema(example = "T-4711")]
    ticket: String,
    #[schema(value_type = Vec<OperatorPermission>)]
    permissions: Vec<&'static str>,
    /// From the grant on.
    #[schema(example = 4)]
    hours: u32,
    #[schema(value_type = OperatorAccessState)]
    state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    requested_at: Option<String>,
    /// The member who granted or denied it.
    #[schema(example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    decided_by: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    decided_at: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<String>,
    /// When the operator first used it.
    #[schema(value_type = Option<String>, format = DateTime)]
    opened_at: Option<String>,
}

impl From<proto::OperatorAccess> for OperatorAccess {
    fn from(access: proto::OperatorAccess) -> Self {
        Self {
            operator_access_id: access.operator_access_id,
            operator: access.operator,
            reason: OperatorAccessReason::word(access.reason),
            ticket: access.ticket,
            permissions: access.permissions.iter().map(|one| OperatorPermission::word(*one)).collect(),
            hours: access.hours,
            state: OperatorAccessState::word(access.state),
            requested_at: instant(access.requested_at),
            decided_by: present(access.decided_by),
            decided_at: instant(access.decided_at),
            ends_at: instant(access.ends_at),
            opened_at: instant(access.opened_at),
        }
    }
}

fn numbers(permissions: &[OperatorPermission]) -> Vec<i32> {
    permissions.iter().map(|permission| permission.proto().into()).collect()
}

/// An access that the tenant grants by itself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"operator": "j.doe", "reason": "support", "ticket": "T-4711", "hours": 4}))]
pub(crate) struct NewOperatorAccess {
    #[schema(value_type = String, max_length = 64, pattern = "^[a-z0-9._-]+$")]
    operator: Text,
    reason: OperatorAccessReason,
    #[schema(value_type = String, max_length = 64, pattern = "^[A-Za-z0-9._/#-]+$")]
    ticket: Text,
    /// Absent: reading alone.
    #[serde(default)]
    permissions: Vec<OperatorPermission>,
    #[schema(minimum = 1, maximum = 72)]
    hours: u32,
}

/// Grants an operator access that he has not asked for, for a reason and for some hours.
#[utoipa::path(post, path = "/v1/operator-access", tag = "operators", params(IdempotencyKey),
    responses((status = 201, body = OperatorAccess)),
    extensions(("x-lethe-rpc" = json!("GrantOperatorAccess"))))]
pub(crate) async fn grant_operator_access(
    acting: Acting,
    key: IdempotencyKey,
    Json(body): Json<NewOperatorAccess>,
) -> Result<Reply<OperatorAccess>, Problem> {
    let request = GrantOperatorAccessRequest {
        operator: body.operator.0,
        reason: body.reason.proto().into(),
        ticket: body.ticket.0,
        permissions: numbers(&body.permissions),
        hours: body.hours,
        idempotency: key.idempotency(),
    };
    let access = acting.operator_access().grant_operator_access(request).await?.into_inner();
    Ok(Reply::created(OperatorAccess::from(access), "/v1/operator-access"))
}

/// A page of accesses.
#[derive(Serialize, ToSchema)]
pub(crate) struct OperatorAccessPage {
    accesses: Vec<OperatorAccess>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists every access that was ever asked for or granted, newest first. Each use of one is in the audit trail, under its id.
#[utoipa::path(get, path = "/v1/operator-access", tag = "operators", params(Page),
    responses((status = 200, body = OperatorAccessPage)),
    extensions(("x-lethe-rpc" = json!("ListOperatorAccess"))))]
pub(crate) async fn list_operator_access(
    acting: Acting,
    Query(page): Query<Page>,
) -> Result<Reply<OperatorAccessPage>, Problem> {
    let list = acting.list("ListOperatorAccess", "");
    let request = ListOperatorAccessRequest { page: list.page(page.limit, page.after())? };
    let answer = acting.operator_access().list_operator_access(request).await?.into_inner();
    let next = list.next(&answer.next);
    let accesses = answer.accesses.into_iter().map(OperatorAccess::from).collect();
    Ok(Reply::ok(OperatorAccessPage { accesses, next }))
}

/// How much of what was asked for is granted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"permissions": ["read_inbox"], "hours": 2}))]
pub(crate) struct Approval {
    /// Absent: all.
    #[serde(default)]
    permissions: Vec<OperatorPermission>,
    /// Absent: as long as was asked for.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 72)]
    hours: u32,
}

/// Grants what an operator asked for, or less.
#[utoipa::path(post, path = "/v1/operator-access/{operator_access_id}/approve", tag = "operators",
    params(("operator_access_id" = String, Path, description = "The access's id.", example = "opa_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = OperatorAccess)),
    extensions(("x-lethe-rpc" = json!("ApproveOperatorAccess"))))]
pub(crate) async fn approve_operator_access(
    acting: Acting,
    Id(access): Id<OperatorAccessId>,
    Json(body): Json<Approval>,
) -> Result<Reply<OperatorAccess>, Problem> {
    let request = ApproveOperatorAccessRequest {
        operator_access_id: access.to_string(),
        permissions: numbers(&body.permissions),
        hours: body.hours,
    };
    let access = acting.operator_access().approve_operator_access(request).await?.into_inner();
    Ok(Reply::ok(access.into()))
}

/// Refuses what an operator asked for.
#[utoipa::path(post, path = "/v1/operator-access/{operator_access_id}/deny", tag = "operators",
    params(("operator_access_id" = String, Path, description = "The access's id.", example = "opa_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = OperatorAccess)),
    extensions(("x-lethe-rpc" = json!("DenyOperatorAccess"))))]
pub(crate) async fn deny_operator_access(
    acting: Acting,
    Id(access): Id<OperatorAccessId>,
    _body: NoBody,
) -> Result<Reply<OperatorAccess>, Problem> {
    let request = DenyOperatorAccessRequest { operator_access_id: access.to_string() };
    let access = acting.operator_access().deny_operator_access(request).await?.into_inner();
    Ok(Reply::ok(access.into()))
}

/// Ends an operator's access, at once and everywhere.
#[utoipa::path(post, path = "/v1/operator-access/{operator_access_id}/revoke", tag = "operators",
    params(("operator_access_id" = String, Path, description = "The access's id.", example = "opa_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = OperatorAccess)),
    extensions(("x-lethe-rpc" = json!("RevokeOperatorAccess"))))]
pub(crate) async fn revoke_operator_access(
    acting: Acting,
    Id(access): Id<OperatorAccessId>,
    _body: NoBody,
) -> Result<Reply<OperatorAccess>, Problem> {
    let request = RevokeOperatorAccessRequest { operator_access_id: access.to_string() };
    let answer = acting.operator_access().revoke_operator_access(request).await?.into_inner();
    let tenant = acting.session.principal.tenant;
    acting.app.sessions().revoked(tenant, Revoked::OperatorAccess(access));
    Ok(Reply::ok(answer.into()))
}
