//! `AddTeamMember`: a member of the tenant, who is active, becomes one of the team. Twice is as once.

use lethe_ids::{MemberId, TeamId};
use lethe_proto::identity::{AddTeamMemberRequest, Team};
use lethe_service::id;
use tonic::Request;

use super::super::{Call, Identity};
use crate::{Error, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<AddTeamMemberRequest>,
) -> Result<Team, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let team: TeamId = id("team_id", &asked.team_id)?;
    let member: MemberId = id("member_id", &asked.member_id)?;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    if !store::team::lock(&mut tx, team).await? {
        return Err(Error::NotFound("team"));
    }
    match store::member::lock(&mut tx, member).await? {
        None => return Err(Error::NotFound("member")),
        Some(row) if !row.active => return Err(Error::MemberInactive),
        Some(_) => {}
    }
    let now = identity.0.clock.now();
    if store::team::add(&mut tx, team, member, now).await? {
        let row = store::team::get(&mut tx, team).await?.ok_or(Error::NotFound("team"))?;
        if row.members > identity.0.config.teams.most_members.into() {
            return Err(Error::TooMany("team_members"));
        }
        identity.record(&mut tx, call.actor(), call.done("AddTeamMember", "team", team)).await?;
        tx.commit().await?;
        return Ok(super::team(row));
    }
    store::team::get(&mut tx, team).await?.map(super::team).ok_or(Error::NotFound("team"))
}
