//! `Fence`: from its answer on nothing of the contact is indexed.

use lethe_proto::erasure::{FenceRequest, FenceResponse};
use lethe_service::timestamp;

use super::{Api, census_key, scope, tallies};
use crate::{erase, error::Error};

pub(super) async fn fence(api: &Api, request: FenceRequest) -> Result<FenceResponse, Error> {
    let (scope, key) = (scope(request.scope)?, census_key(&request.census_key)?);
    let fence = erase::fence(&api.indexer, &scope, &key).await?;
    let census = fence.census.ok_or(Error::NotFenced)?;
    Ok(FenceResponse {
        census_digest: census.digest.into(),
        tallies: tallies(census.documents, census.progress_rows),
        fenced_at: Some(timestamp(fence.fenced_at)),
        ..FenceResponse::default()
    })
}
