//! `UpdateTenant`: name, region and settings, over the version that the caller saw.

use lethe_proto::identity::{Tenant, UpdateTenantRequest};
use tonic::Request;

use super::{Call, Identity};
use crate::{Error, domain::tenant::Change, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<UpdateTenantRequest>,
) -> Result<Tenant, Error> {
    let call = Call::of(&request)?;
    let asked = request.into_inner();
    let version = super::if_version(asked.if_version)?;
    let change = Change::new(asked.name.as_deref(), asked.region.as_deref(), &asked.settings)?;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let mut row = store::tenant::get(&mut tx).await?.ok_or(Error::NotFound("tenant"))?;
    if row.version != version {
        return Err(Error::VersionMismatch);
    }
    change.apply(&mut row.details, &mut row.settings)?;
    if !store::tenant::update(&mut tx, &row).await? {
        return Err(Error::VersionMismatch);
    }
    row.version += 1;
    let done = call.done("UpdateTenant", "tenant", row.id);
    identity.record(&mut tx, call.actor(), done).await?;
    tx.commit().await?;
    Ok(super::tenant(&row))
}
