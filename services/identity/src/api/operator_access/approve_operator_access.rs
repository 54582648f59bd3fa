//! `ApproveOperatorAccess`: grants what was asked for, or less. Twice is as once.

use lethe_ids::OperatorAccessId;
use lethe_proto::identity::{ApproveOperatorAccessRequest, OperatorAccess, OperatorAccessState};
use lethe_service::id;
use tonic::Request;

use super::super::{Call, Identity};
use crate::{Error, domain::operator_access::State, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<ApproveOperatorAccessRequest>,
) -> Result<OperatorAccess, Error> {
    let call = Call::of(&request)?;
    let member = call.member()?;
    let asked = request.get_ref();
    let access: OperatorAccessId = id("operator_access_id", &asked.operator_access_id)?;
    let now = identity.0.clock.now();
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let row = store::operator_access::lock(&mut tx, access).await?;
    let mut row = row.ok_or(Error::NotFound("operator_access"))?;
    match row.state_at(now) {
        OperatorAccessState::Requested => {}
        _ if row.state == State::Granted => return Ok(super::access(row, now)),
        _ => return Err(Error::AlreadyDecided),
    }
    let (permissions, hours) = row.terms.narrowed(&asked.permissions, asked.hours)?;
    row.terms.permissions = permissions;
    row.terms.hours = hours;
    row.state = State::Granted;
    row.decided = Some((member, now));
    row.ends_at = Some(now + time::Duration::hours(hours.into()));
    store::operator_access::decide(&mut tx, &row).await?;
    let done = super::done("ApproveOperatorAccess", access, &call.request_id);
    identity.record_detail(&mut tx, call.actor(), done, &row.terms.to_string()).await?;
    tx.commit().await?;
    Ok(super::access(row, now))
}
