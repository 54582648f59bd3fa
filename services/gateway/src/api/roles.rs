//! The roles of a member: given and taken, at once and everywhere.

use std::{fmt, str::FromStr};

use axum::extract::FromRequestParts;
use http::request::Parts;
use lethe_access::Revoked;
use lethe_ids::MemberId;
use lethe_proto::identity::{GrantRoleRequest, RevokeRoleRequest};

use super::members::{Member, Role};
use crate::{
    App,
    body::{NoBody, Reply},
    path::Params,
    problem::Problem,
    session::Acting,
};

/// Whose role, and which.
pub(crate) struct MemberRole {
    member: MemberId,
    role: Role,
}

impl FromRequestParts<App> for MemberRole {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let params = Params::of(parts, app).await?;
        Ok(Self { member: params.get(0)?, role: params.get(1)? })
    }
}

/// A word that is no role.
#[derive(Debug)]
pub(crate) struct NotARole;

impl fmt::Display for NotARole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Role::WORDS)
    }
}

impl FromStr for Role {
    type Err = NotARole;
    fn from_str(text: &str) -> Result<Self, NotARole> {
        Self::of_word(text).ok_or(NotARole)
    }
}

/// Gives a member a role. Not one that may do what who asks may not (403).
#[utoipa::path(put, path = "/v1/members/{member_id}/roles/{role}", tag = "members",
    params(
        ("member_id" = String, Path, description = "The member's id.", example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa"),
        ("role" = Role, Path, description = "The role."),
    ),
    responses((status = 200, body = Member)),
    extensions(("x-lethe-rpc" = json!("GrantRole"))))]
pub(crate) async fn grant_role(
    acting: Acting,
    to: MemberRole,
    _body: NoBody,
) -> Result<Reply<Member>, Problem> {
    let request = GrantRoleRequest { member_id: to.member.to_string(), role: to.role.proto().into() };
    let answer = acting.identity().grant_role(request).await?.into_inner();
    acting.app.sessions().revoked(acting.session.principal.tenant, Revoked::Member(to.member));
    Ok(Member::reply(answer))
}

/// Takes a role from a member. The last owner keeps his.
#[utoipa::path(delete, path = "/v1/members/{member_id}/roles/{role}", tag = "members",
    params(
        ("member_id" = String, Path, description = "The member's id.", example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa"),
        ("role" = Role, Path, description = "The role."),
    ),
    responses((status = 200, body = Member)),
    extensions(("x-lethe-rpc" = json!("RevokeRole"))))]
pub(crate) async fn revoke_role(
    acting: Acting,
    of: MemberRole,
    _body: NoBody,
) -> Result<Reply<Member>, Problem> {
    let request = RevokeRoleRequest { member_id: of.member.to_string(), role: of.role.proto().into() };
    let answer = acting.identity().revoke_role(request).await?.into_inner();
    acting.app.sessions().revoked(acting.session.principal.tenant, Revoked::Member(of.member));
    Ok(Member::reply(answer))
}
