//! `Count`: how many audit events name the contact.

use lethe_proto::erasure::{CountRequest, CountResponse};
use tonic::Request;

use super::{Identity, scope, tally};
use crate::{Error, erase};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<CountRequest>,
) -> Result<CountResponse, Error> {
    let scope = scope(request.get_ref().scope.as_ref())?;
    let count = erase::count(&identity.0.db, &scope).await?;
    Ok(CountResponse { tallies: vec![tally(count)], known: count > 0, ..CountResponse::default() })
}
