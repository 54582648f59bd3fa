//! `RemoveTeamMember`: takes a member out of a team. Twice is as once.

use lethe_ids::{MemberId, TeamId};
use lethe_proto::identity::{RemoveTeamMemberRequest, Team};
use lethe_service::id;
use tonic::Request;

use super::super::{Call, Identity};
use crate::{Error, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<RemoveTeamMemberRequest>,
) -> Result<Team, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let team: TeamId = id("team_id", &asked.team_id)?;
    let member: MemberId = id("member_id", &asked.member_id)?;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    if !store::team::lock(&mut tx, team).await? {
        return Err(Error::NotFound("team"));
    }
    let removed = store::team::remove(&mut tx, team, member).await?;
    let row = store::team::get(&mut tx, team).await?.ok_or(Error::NotFound("team"))?;
    if removed {
        identity.record(&mut tx, call.actor(), call.done("RemoveTeamMember", "team", team)).await?;
        tx.commit().await?;
    }
    Ok(super::team(row))
}
