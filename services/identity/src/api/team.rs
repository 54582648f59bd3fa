//! Teams: groups of a tenant's members. They give no rights; whoever keeps members keeps teams.

mod add_team_member;
mod create_team;
mod delete_team;
mod get_team;
mod list_teams;
mod remove_team_member;
mod update_team;

use lethe_proto::identity::{self as proto, team_service_server::TeamService};
use lethe_service::timestamp;
use tonic::{Request, Response, Status};

use super::{Identity, serve};
use crate::store::team::TeamRow;

serve!(TeamService {
    create_team(proto::CreateTeamRequest) -> proto::Team;
    list_teams(proto::ListTeamsRequest) -> proto::ListTeamsResponse;
    get_team(proto::GetTeamRequest) -> proto::Team;
    update_team(proto::UpdateTeamRequest) -> proto::Team;
    delete_team(proto::DeleteTeamRequest) -> proto::DeleteTeamResponse;
    add_team_member(proto::AddTeamMemberRequest) -> proto::Team;
    remove_team_member(proto::RemoveTeamMemberRequest) -> proto::Team;
});

/// A team as callers see it.
fn team(row: TeamRow) -> proto::Team {
    proto::Team {
        team_id: row.id.to_string(),
        name: row.name,
        members: u32::try_from(row.members).unwrap_or(u32::MAX),
        version: row.version.unsigned_abs(),
        created_at: Some(timestamp(row.created_at)),
    }
}
