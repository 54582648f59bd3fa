//! `VerifyAbsent`: what is still there, by other code than the purge's. The contact's id is taken from the census: a later
//! verification no longer knows it.

use lethe_proto::erasure::{VerifyAbsentRequest, VerifyAbsentResponse};
use lethe_service::{id, timestamp};
use tonic::Request;

use super::{Identity, census_key};
use crate::{Error, domain::Invalid, verify};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<VerifyAbsentRequest>,
) -> Result<VerifyAbsentResponse, Error> {
    let asked = request.get_ref();
    let scope = asked.scope.as_ref().ok_or(Invalid::new("scope", "is missing"))?;
    let key = census_key(&asked.census_key)?;
    let findings = verify::absent(
        &identity.0.db,
        id("scope.tenant_id", &scope.tenant_id)?,
        id("scope.scope_id", &scope.scope_id)?,
        id("scope.erasure_id", &scope.erasure_id)?,
        &key,
    )
    .await?;
    Ok(VerifyAbsentResponse { findings, verified_at: Some(timestamp(identity.0.clock.now())) })
}
