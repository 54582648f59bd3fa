//! VerifyAbsent: reads the stores again, by other code than the purge, and says what is there.

use lethe_proto::erasure::{VerifyAbsentRequest, VerifyAbsentResponse};
use lethe_service::timestamp;
use tonic::Request;

use crate::{census::census_key, error::Error, scope::Scope, state::State};

pub(super) async fn verify_absent(
    state: &State,
    request: Request<VerifyAbsentRequest>,
) -> Result<VerifyAbsentResponse, Error> {
    let request = request.into_inner();
    let scope = Scope::of(request.scope)?;
    let key = census_key(&request.census_key)?;
    let (findings, at) = state.verify_absent(&scope, &key).await?;
    Ok(VerifyAbsentResponse { findings, verified_at: Some(timestamp(at)) })
}
