//! Release: lets go of what was held. What was fenced meanwhile goes with the next purge. The id stays for a while as one
//! that can be placed no more: the call that places it may be the slower one.

use lethe_ids::{HoldId, TenantId};
use lethe_proto::erasure::{ReleaseRequest, ReleaseResponse};
use lethe_service::id;
use tonic::Request;

use crate::{error::Error, state::State, store::hold};

pub(super) async fn release(
    state: &State,
    request: Request<ReleaseRequest>,
) -> Result<ReleaseResponse, Error> {
    let request = request.into_inner();
    let tenant: TenantId = id("tenant_id", &request.tenant_id)?;
    let hold: HoldId = id("hold_id", &request.hold_id)?;
    let mut tx = state.tx(tenant).await?;
    let being_erased = hold::release(&mut tx, hold, state.clock.now()).await?;
    tx.commit().await?;
    Ok(ReleaseResponse { being_erased })
}
