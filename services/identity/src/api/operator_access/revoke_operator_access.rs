//! `RevokeOperatorAccess`: ends an access, at once and everywhere. Twice is as once.

use lethe_access::Revoked;
use lethe_ids::OperatorAccessId;
use lethe_proto::identity::{OperatorAccess, RevokeOperatorAccessRequest};
use lethe_service::id;
use tonic::Request;

use super::super::{Call, Identity, Told};
use crate::{Error, domain::operator_access::State, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<RevokeOperatorAccessRequest>,
) -> Result<OperatorAccess, Error> {
    let call = Call::of(&request)?;
    let access: OperatorAccessId = id("operator_access_id", &request.get_ref().operator_access_id)?;
    let now = identity.0.clock.now();
    let mut told = Told::default();
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let row = store::operator_access::lock(&mut tx, access).await?;
    let mut row = row.ok_or(Error::NotFound("operator_access"))?;
    match row.state {
        State::Granted => {}
        State::Revoked => return Ok(super::access(row, now)),
        State::Requested | State::Denied => return Err(Error::NotGranted),
    }
    row.state = State::Revoked;
    store::operator_access::decide(&mut tx, &row).await?;
    let revoked = Revoked::OperatorAccess(access);
    identity.revoke(&mut tx, &mut told, revoked, identity.0.clock.millis()).await?;
    let done = super::done("RevokeOperatorAccess", access, &call.request_id);
    identity.record_detail(&mut tx, call.actor(), done, &row.terms.to_string()).await?;
    tx.commit().await?;
    identity.tell(told);
    Ok(super::access(row, now))
}
