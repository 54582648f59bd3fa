//! `Purge`: the erasure's id takes the contact's place.

use lethe_proto::erasure::{PurgeRequest, PurgeResponse};
use lethe_service::timestamp;
use tonic::Request;

use super::{Identity, census_key, scope, tally};
use crate::{Error, erase};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<PurgeRequest>,
) -> Result<PurgeResponse, Error> {
    let asked = request.get_ref();
    let (scope, key) = (scope(asked.scope.as_ref())?, census_key(&asked.census_key)?);
    let fence = erase::purge(&identity.0.db, &identity.0.clock, &scope, &key).await?;
    Ok(PurgeResponse { evidence: vec![tally(fence.replaced)], purged_at: fence.purged_at.map(timestamp) })
}
