//! Teams: groups of members.

use axum::extract::FromRequestParts;
use http::{StatusCode, request::Parts};
use lethe_ids::{MemberId, TeamId};
use lethe_proto::identity::{
    self as proto, AddTeamMemberRequest, CreateTeamRequest, DeleteTeamRequest, GetTeamRequest,
    ListTeamsRequest, RemoveTeamMemberRequest, UpdateTeamRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    App,
    body::{Json, NoBody, Reply},
    json::{PageLimit, Text, instant},
    path::{Id, Params},
    precondition::{IdempotencyKey, IfMatch},
    problem::Problem,
    query::Query,
    session::Acting,
};

/// A team.
#[derive(Serialize, ToSchema)]
pub(crate) struct Team {
    #[schema(example = "tem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    team_id: String,
    #[schema(example = "Support")]
    name: String,
    /// How many members it has; `GET /v1/members?team_id=` lists them.
    members: u32,
    version: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Option<String>,
}

impl From<proto::Team> for Team {
    fn from(team: proto::Team) -> Self {
        Self {
            team_id: team.team_id,
            name: team.name,
            members: team.members,
            version: team.version,
            created_at: instant(team.created_at),
        }
    }
}

impl Team {
    fn reply(team: proto::Team) -> Reply<Self> {
        let version = team.version;
        Reply::ok(Self::from(team)).with_version(version)
    }
}

/// A team's name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Support"}))]
pub(crate) struct TeamName {
    /// One of the tenant's teams, whatever the case.
    #[schema(value_type = String, min_length = 1, max_length = 100)]
    name: Text,
}

/// Creates a team.
#[utoipa::path(post, path = "/v1/teams", tag = "teams", params(IdempotencyKey),
    responses((status = 201, body = Team)),
    extensions(("x-lethe-rpc" = json!("CreateTeam"))))]
pub(crate) async fn create_team(
    acting: Acting,
    key: IdempotencyKey,
    Json(body): Json<TeamName>,
) -> Result<Reply<Team>, Problem> {
    let request = CreateTeamRequest { name: body.name.0, idempotency: key.idempotency() };
    let team = acting.teams().create_team(request).await?.into_inner();
    let (location, version) = (format!("/v1/teams/{}", team.team_id), team.version);
    Ok(Reply::created(Team::from(team), location).with_version(version))
}

/// Which teams.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichTeams {
    /// Those that this member is in.
    #[param(value_type = Option<String>)]
    member_id: Option<MemberId>,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
    /// `next` of the page before; absent for the first page.
    #[param(value_type = Option<String>)]
    after: Option<Text>,
}

/// A page of teams.
#[derive(Serialize, ToSchema)]
pub(crate) struct TeamPage {
    teams: Vec<Team>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists the teams.
#[utoipa::path(get, path = "/v1/teams", tag = "teams", params(WhichTeams),
    responses((status = 200, body = TeamPage)),
    extensions(("x-lethe-rpc" = json!("ListTeams"))))]
pub(crate) async fn list_teams(
    acting: Acting,
    Query(query): Query<WhichTeams>,
) -> Result<Reply<TeamPage>, Problem> {
    let member_id = query.member_id.map(|member| member.to_string()).unwrap_or_default();
    let list = acting.list("ListTeams", &member_id);
    let page = list.page(query.limit, query.after.as_ref().map(|after| after.0.as_str()))?;
    let request = ListTeamsRequest { member_id: member_id.clone(), page };
    let answer = acting.teams().list_teams(request).await?.into_inner();
    let next = list.next(&answer.next);
    Ok(Reply::ok(TeamPage { teams: answer.teams.into_iter().map(Team::from).collect(), next }))
}

/// Shows a team.
#[utoipa::path(get, path = "/v1/teams/{team_id}", tag = "teams",
    params(("team_id" = String, Path, description = "The team's id.", example = "tem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Team)),
    extensions(("x-lethe-rpc" = json!("GetTeam"))))]
pub(crate) async fn get_team(acting: Acting, Id(team): Id<TeamId>) -> Result<Reply<Team>, Problem> {
    let request = GetTeamRequest { team_id: team.to_string() };
    Ok(Team::reply(acting.teams().get_team(request).await?.into_inner()))
}

/// Gives a team another name.
#[utoipa::path(patch, path = "/v1/teams/{team_id}", tag = "teams",
    params(("team_id" = String, Path, description = "The team's id.", example = "tem_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), IfMatch),
    responses((status = 200, body = Team)),
    extensions(("x-lethe-rpc" = json!("UpdateTeam"))))]
pub(crate) async fn update_team(
    acting: Acting,
    Id(team): Id<TeamId>,
    IfMatch(if_version): IfMatch,
    Json(body): Json<TeamName>,
) -> Result<Reply<Team>, Problem> {
    let request = UpdateTeamRequest { team_id: team.to_string(), name: body.name.0, if_version };
    Ok(Team::reply(acting.teams().update_team(request).await?.into_inner()))
}

/// Deletes a team; its members stay.
#[utoipa::path(delete, path = "/v1/teams/{team_id}", tag = "teams",
    params(("team_id" = String, Path, description = "The team's id.", example = "tem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 204, description = "The team is gone.")),
    extensions(("x-lethe-rpc" = json!("DeleteTeam"))))]
pub(crate) async fn delete_team(
    acting: Acting,
    Id(team): Id<TeamId>,
    _body: NoBody,
) -> Result<StatusCode, Problem> {
    acting.teams().delete_team(DeleteTeamRequest { team_id: team.to_string() }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which team, and who.
pub(crate) struct TeamMember {
    team: TeamId,
    member: MemberId,
}

impl FromRequestParts<App> for TeamMember {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let params = Params::of(parts, app).await?;
        Ok(Self { team: params.get(0)?, member: params.get(1)? })
    }
}

/// Puts a member into a team.
#[utoipa::path(put, path = "/v1/teams/{team_id}/members/{member_id}", tag = "teams",
    params(
        ("team_id" = String, Path, description = "The team's id.", example = "tem_01998f2ac3e47b0f8a5d2f60b1c9e7aa"),
        ("member_id" = String, Path, description = "The member's id.", example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa"),
    ),
    responses((status = 200, body = Team)),
    extensions(("x-lethe-rpc" = json!("AddTeamMember"))))]
pub(crate) async fn add_team_member(
    acting: Acting,
    of: TeamMember,
    _body: NoBody,
) -> Result<Reply<Team>, Problem> {
    let request = AddTeamMemberRequest { team_id: of.team.to_string(), member_id: of.member.to_string() };
    Ok(Team::reply(acting.teams().add_team_member(request).await?.into_inner()))
}

/// Takes a member out of a team.
#[utoipa::path(delete, path = "/v1/teams/{team_id}/members/{member_id}", tag = "teams",
    params(
        ("team_id" = String, Path, description = "The team's id.", example = "tem_01998f2ac3e47b0f8a5d2f60b1c9e7aa"),
        ("member_id" = String, Path, description = "The member's id.", example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa"),
    ),
    responses((status = 200, body = Team)),
    extensions(("x-lethe-rpc" = json!("RemoveTeamMember"))))]
pub(crate) async fn remove_team_member(
    acting: Acting,
    of: TeamMember,
    _body: NoBody,
) -> Result<Reply<Team>, Problem> {
    let request = RemoveTeamMemberRequest { team_id: of.team.to_string(), member_id: of.member.to_string() };
    Ok(Team::reply(acting.teams().remove_team_member(request).await?.into_inner()))
}
