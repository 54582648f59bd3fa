//! `GetTenant`: the tenant of the one who asks.

use lethe_proto::identity::{GetTenantRequest, Tenant};
use tonic::Request;

use super::{Call, Identity};
use crate::{Error, store};

pub(super) async fn handle(identity: &Identity, request: Request<GetTenantRequest>) -> Result<Tenant, Error> {
    let call = Call::of(&request)?;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let row = store::tenant::get(&mut tx).await?.ok_or(Error::NotFound("tenant"))?;
    Ok(super::tenant(&row))
}
