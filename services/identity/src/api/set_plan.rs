//! `SetPlan`: the plan, over the version of the tenant that the caller saw. What is paid for is nobody's to change who may
//! only change settings.

use lethe_proto::identity::{SetPlanRequest, Tenant};
use tonic::Request;

use super::{Call, Identity};
use crate::{Error, domain::tenant::plan, store};

pub(super) async fn handle(identity: &Identity, request: Request<SetPlanRequest>) -> Result<Tenant, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let plan = plan("plan", &asked.plan)?;
    let version = super::if_version(asked.if_version)?;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    if !store::tenant::set_plan(&mut tx, &plan, version).await? {
        return Err(Error::VersionMismatch);
    }
    let row = store::tenant::get(&mut tx).await?.ok_or(Error::NotFound("tenant"))?;
    let done = call.done("SetPlan", "tenant", row.id);
    identity.record_detail(&mut tx, call.actor(), done, &plan).await?;
    tx.commit().await?;
    Ok(super::tenant(&row))
}
