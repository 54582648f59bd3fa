//! `Count`: how much there is of a contact. Changes nothing.

use lethe_proto::erasure::{CountRequest, CountResponse};

use super::{Api, scope, tallies};
use crate::{erase, error::Error};

pub(super) async fn count(api: &Api, request: CountRequest) -> Result<CountResponse, Error> {
    let scope = scope(request.scope)?;
    let (documents, rows) = erase::count(&api.indexer, &scope).await?;
    Ok(CountResponse {
        tallies: tallies(documents, rows),
        known: documents + rows > 0,
        ..CountResponse::default()
    })
}
