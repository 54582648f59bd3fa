//! `RecordOperatorUse`: one audit event a request, before the request goes on.

use lethe_ids::{OperatorAccessId, TenantId};
use lethe_proto::identity::{RecordOperatorUseRequest, RecordOperatorUseResponse};
use lethe_service::{CallContext, id};
use tonic::Request;

use super::super::Identity;
use crate::{
    Error,
    domain::{Invalid, audit::Actor},
    store,
};

const LONGEST_ROUTE: usize = 200;

pub(super) async fn handle(
    identity: &Identity,
    request: Request<RecordOperatorUseRequest>,
) -> Result<RecordOperatorUseResponse, Error> {
    let request_id = CallContext::of(&request).request_id.clone();
    let asked = request.get_ref();
    let tenant: TenantId = id("tenant_id", &asked.tenant_id)?;
    let access: OperatorAccessId = id("operator_access_id", &asked.operator_access_id)?;
    if asked.route.is_empty() || asked.route.len() > LONGEST_ROUTE || !asked.route.is_ascii() {
        return Err(Invalid::new("route", "is no route").into());
    }
    let (now, now_ms) = (identity.0.clock.now(), identity.0.clock.millis());
    let mut tx = identity.0.db.tenant(tenant).await?;
    let row = store::operator_access::standing(&mut tx, access, now_ms, now).await?;
    let terms = row.ok_or(Error::SessionInvalid)?.terms;
    let done = super::done("UseOperatorAccess", access, &request_id);
    let detail = format!("reason={} ticket={} {}", terms.reason_word(), terms.ticket, asked.route);
    identity.record_detail(&mut tx, Actor::Operator(access), done, &detail).await?;
    tx.commit().await?;
    Ok(RecordOperatorUseResponse {})
}
