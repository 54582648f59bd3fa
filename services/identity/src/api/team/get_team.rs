//! `GetTeam`: a team of the tenant.

use lethe_ids::TeamId;
use lethe_proto::identity::{GetTeamRequest, Team};
use lethe_service::id;
use tonic::Request;

use super::super::{Call, Identity};
use crate::{Error, store};

pub(super) async fn handle(identity: &Identity, request: Request<GetTeamRequest>) -> Result<Team, Error> {
    let call = Call::of(&request)?;
    let team: TeamId = id("team_id", &request.get_ref().team_id)?;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    store::team::get(&mut tx, team).await?.map(super::team).ok_or(Error::NotFound("team"))
}
