//! `DenyOperatorAccess`: the tenant says no to what was asked for. Twice is as once.

use lethe_ids::OperatorAccessId;
use lethe_proto::identity::{DenyOperatorAccessRequest, OperatorAccess, OperatorAccessState};
use lethe_service::id;
use tonic::Request;

use super::super::{Call, Identity};
use crate::{Error, domain::operator_access::State, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<DenyOperatorAccessRequest>,
) -> Result<OperatorAccess, Error> {
    let call = Call::of(&request)?;
    let member = call.member()?;
    let access: OperatorAccessId = id("operator_access_id", &request.get_ref().operator_access_id)?;
    let now = identity.0.clock.now();
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let row = store::operator_access::lock(&mut tx, access).await?;
    let mut row = row.ok_or(Error::NotFound("operator_access"))?;
    match row.state_at(now) {
        OperatorAccessState::Requested => {}
        OperatorAccessState::Denied => return Ok(super::access(row, now)),
        _ => return Err(Error::AlreadyDecided),
    }
    row.state = State::Denied;
    row.decided = Some((member, now));
    store::operator_access::decide(&mut tx, &row).await?;
    let done = super::done("DenyOperatorAccess", access, &call.request_id);
    identity.record_detail(&mut tx, call.actor(), done, &row.terms.to_string()).await?;
    tx.commit().await?;
    Ok(super::access(row, now))
}
