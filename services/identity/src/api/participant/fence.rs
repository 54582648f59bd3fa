//! `Fence`: from its answer on no audit event is written that names the contact.

use lethe_proto::erasure::{FenceRequest, FenceResponse};
use lethe_service::timestamp;
use tonic::Request;

use super::{Identity, census_key, scope, tally};
use crate::{Error, erase};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<FenceRequest>,
) -> Result<FenceResponse, Error> {
    let asked = request.get_ref();
    let (scope, key) = (scope(asked.scope.as_ref())?, census_key(&asked.census_key)?);
    let fence = erase::fence(&identity.0.db, &identity.0.clock, &identity.0.entropy, &scope, &key).await?;
    Ok(FenceResponse {
        census_digest: fence.census_digest.into(),
        tallies: vec![tally(fence.audit_events)],
        fenced_at: Some(timestamp(fence.fenced_at)),
        ..FenceResponse::default()
    })
}
