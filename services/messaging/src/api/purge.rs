//! Purge: destroys the secrets, deletes the rows, says what was done. Finishes before it answers.

use lethe_proto::erasure::{PurgeRequest, PurgeResponse};
use lethe_service::timestamp;
use tonic::Request;

use crate::{
    census::{Counted, census_key},
    error::Error,
    scope::Scope,
    state::State,
};

pub(super) async fn purge(state: &State, request: Request<PurgeRequest>) -> Result<PurgeResponse, Error> {
    let request = request.into_inner();
    let scope = Scope::of(request.scope)?;
    let key = census_key(&request.census_key)?;
    let purged = state.erase(&scope, &key).await?;
    Ok(PurgeResponse {
        evidence: purged.evidence.iter().map(Counted::tally).collect(),
        purged_at: Some(timestamp(purged.at)),
    })
}
