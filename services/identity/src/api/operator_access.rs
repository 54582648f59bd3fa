//! An operator's access to a tenant's data: asked for, granted, used in sight of the tenant, ended.

mod approve_operator_access;
mod deny_operator_access;
mod grant_operator_access;
mod list_operator_access;
mod open_operator_access;
mod record_operator_use;
mod request_operator_access;
mod revoke_operator_access;

use lethe_ids::{OperatorAccessId, TenantId};
use lethe_proto::identity::{self as proto, operator_access_service_server::OperatorAccessService};
use lethe_service::timestamp;
use time::OffsetDateTime;
use tonic::{Request, Response, Status};

use super::{Done, Identity, serve};
use crate::{Error, domain::tenant::Slug, store, store::operator_access::OperatorAccessRow};

serve!(OperatorAccessService {
    request_operator_access(proto::RequestOperatorAccessRequest) -> proto::OperatorAccess;
    open_operator_access(proto::OpenOperatorAccessRequest) -> proto::OpenOperatorAccessResponse;
    record_operator_use(proto::RecordOperatorUseRequest) -> proto::RecordOperatorUseResponse;
    grant_operator_access(proto::GrantOperatorAccessRequest) -> proto::OperatorAccess;
    approve_operator_access(proto::ApproveOperatorAccessRequest) -> proto::OperatorAccess;
    deny_operator_access(proto::DenyOperatorAccessRequest) -> proto::OperatorAccess;
    revoke_operator_access(proto::RevokeOperatorAccessRequest) -> proto::OperatorAccess;
    list_operator_access(proto::ListOperatorAccessRequest) -> proto::ListOperatorAccessResponse;
});

/// An access as callers see it at `now`.
fn access(row: OperatorAccessRow, now: OffsetDateTime) -> proto::OperatorAccess {
    let state = row.state_at(now);
    proto::OperatorAccess {
        operator_access_id: row.id.to_string(),
        operator: row.terms.operator,
        reason: row.terms.reason.into(),
        ticket: row.terms.ticket,
        permissions: row.terms.permissions.as_slice().iter().map(|one| i32::from(*one)).collect(),
        hours: u32::from(row.terms.hours.unsigned_abs()),
        state: state.into(),
        requested_at: Some(timestamp(row.requested_at)),
        decided_by: row.decided.map(|(by, _)| by.to_string()).unwrap_or_default(),
        decided_at: row.decided.map(|(_, at)| timestamp(at)),
        ends_at: row.ends_at.map(timestamp),
        opened_at: row.opened_at.map(timestamp),
    }
}

fn done<'a>(action: &'static str, access: OperatorAccessId, request_id: &'a str) -> Done<'a> {
    Done { action, target_kind: "operator_access", target_id: access.to_string(), request_id }
}

/// The tenant that an operator names.
async fn tenant(identity: &Identity, slug: &str) -> Result<TenantId, Error> {
    let slug = Slug::parse("tenant_slug", slug)?;
    store::tenant::by_slug(&identity.0.db, &slug).await?.ok_or(Error::NotFound("tenant"))
}
