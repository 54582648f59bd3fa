//! `Purge`: deletes, and removes the bytes, before it answers.

use lethe_proto::erasure::{PurgeRequest, PurgeResponse};
use lethe_service::timestamp;

use super::{Api, census_key, scope, tallies};
use crate::{erase, error::Error};

pub(super) async fn purge(api: &Api, request: PurgeRequest) -> Result<PurgeResponse, Error> {
    let (scope, key) = (scope(request.scope)?, census_key(&request.census_key)?);
    let purged = erase::purge(&api.indexer, &scope, &key).await?;
    Ok(PurgeResponse {
        evidence: tallies(purged.documents, purged.progress_rows),
        purged_at: Some(timestamp(purged.at)),
    })
}
