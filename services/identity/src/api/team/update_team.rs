//! `UpdateTeam`: another name.

use lethe_ids::TeamId;
use lethe_proto::identity::{Team, UpdateTeamRequest};
use lethe_service::id;
use tonic::Request;

use super::super::{Call, Identity, if_version};
use crate::{Error, domain::team::TeamName, store};

pub(super) async fn handle(identity: &Identity, request: Request<UpdateTeamRequest>) -> Result<Team, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let team: TeamId = id("team_id", &asked.team_id)?;
    let name = TeamName::parse("name", &asked.name)?;
    let version = if_version(asked.if_version)?;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    // Two that take one name at once: the second finds it.
    store::tenant::lock(&mut tx).await?;
    let mut row = store::team::get(&mut tx, team).await?.ok_or(Error::NotFound("team"))?;
    if store::team::has_name(&mut tx, team, name.as_str()).await? {
        return Err(Error::TeamNameTaken);
    }
    if !store::team::update(&mut tx, team, version, name.as_str()).await? {
        return Err(Error::VersionMismatch);
    }
    identity.record(&mut tx, call.actor(), call.done("UpdateTeam", "team", team)).await?;
    tx.commit().await?;
    row.name = name.as_str().to_owned();
    row.version = version + 1;
    Ok(super::team(row))
}
