//! `DeleteTeam`: the team goes, its members stay members of the tenant.

use lethe_ids::TeamId;
use lethe_proto::identity::{DeleteTeamRequest, DeleteTeamResponse};
use lethe_service::id;
use tonic::Request;

use super::super::{Call, Identity};
use crate::{Error, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<DeleteTeamRequest>,
) -> Result<DeleteTeamResponse, Error> {
    let call = Call::of(&request)?;
    let team: TeamId = id("team_id", &request.get_ref().team_id)?;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    if !store::team::delete(&mut tx, team).await? {
        return Err(Error::NotFound("team"));
    }
    identity.record(&mut tx, call.actor(), call.done("DeleteTeam", "team", team)).await?;
    tx.commit().await?;
    Ok(DeleteTeamResponse {})
}
