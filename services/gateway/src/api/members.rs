//! Members: the people of a tenant.

use lethe_access::Revoked;
use lethe_ids::{MemberId, TeamId};
use lethe_proto::{
    access,
    identity::{
        self as proto, CreateMemberRequest, DeactivateMemberRequest, GetMemberRequest, ListMembersRequest,
        ResetPasswordRequest, UpdateMemberRequest,
    },
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::member_erasure::MemberErasureMode;
use crate::{
    body::{Json, NoBody, Reply},
    json::{Change, PageLimit, Text, given, instant, present, wire_enum},
    path::Id,
    precondition::{IdempotencyKey, IfMatch},
    problem::Problem,
    query::Query,
    session::Acting,
};

wire_enum! {
    /// A named set of permissions.
    Role is access::Role {
        /// Everything.
        Owner = "owner",
        /// Everything but billing.
        Admin = "admin",
        /// The inbox: reads, sends, edits, and keeps contacts.
        Agent = "agent",
        /// Erasures, contacts' rights, and the audit trail.
        PrivacyOfficer = "privacy_officer",
        /// Reads erasures and the audit trail.
        Auditor = "auditor",
    }
}

/// A member of the tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct Member {
    #[schema(example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    member_id: String,
    #[schema(example = "Ada Lovelace")]
    name: String,
    #[schema(example = "ada@acme.example")]
    email: String,
    /// E.164.
    #[schema(example = "+442071838750")]
    phone: Option<String>,
    #[schema(value_type = Vec<Role>)]
    roles: Vec<&'static str>,
    /// Whether the member may log in.
    active: bool,
    version: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Option<String>,
    /// How much of him is gone; `null`: nothing. After `all`, name and e-mail address are empty.
    #[schema(value_type = Option<MemberErasureMode>)]
    erased: Option<&'static str>,
}

impl From<proto::Member> for Member {
    fn from(member: proto::Member) -> Self {
        Self {
            member_id: member.member_id,
            name: member.name,
            email: member.email,
            phone: present(member.phone),
            roles: member.roles.iter().map(|role| Role::word(*role)).collect(),
            active: member.active,
            version: member.version,
            created_at: instant(member.created_at),
            erased: (member.erased != 0).then(|| MemberErasureMode::word(member.erased)),
        }
    }
}

impl Member {
    /// With its entity tag.
    pub(super) fn reply(member: proto::Member) -> Reply<Self> {
        let version = member.version;
        Reply::ok(Self::from(member)).with_version(version)
    }
}

/// A new member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Ada Lovelace", "email": "ada@acme.example", "roles": ["agent"]}))]
pub(crate) struct NewMember {
    #[schema(value_type = String)]
    name: Text,
    #[schema(value_type = String)]
    email: Text,
    /// E.164.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    phone: Option<Text>,
    /// Nobody has a role that was not given.
    #[serde(default)]
    roles: Vec<Role>,
    /// Of his password, made elsewhere by bcrypt (`$2a$`, `$2b$` or `$2y$`, cost 4 to 12): he keeps that password. Without
    /// it he is given a one-time password.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    bcrypt_hash: Option<Text>,
}

/// A new member, with the password for the first log-in.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedMember {
    member: Member,
    /// Shown once; `null` in a replay, and for a member who brings his password.
    one_time_password: Option<String>,
    /// From then on the one-time password lets nobody in (RFC 3339).
    password_expires_at: Option<String>,
}

/// Creates a member, with a one-time password or with the one that he had elsewhere. Not with a role that may do what who asks
/// may not (403).
#[utoipa::path(post, path = "/v1/members", tag = "members", params(IdempotencyKey),
    responses((status = 201, body = CreatedMember, headers(("ETag" = String, description = "The version, for `If-Match`.")))),
    extensions(("x-lethe-rpc" = json!("CreateMember"))))]
pub(crate) async fn create_member(
    acting: Acting,
    key: IdempotencyKey,
    Json(body): Json<NewMember>,
) -> Result<Reply<CreatedMember>, Problem> {
    let request = CreateMemberRequest {
        name: body.name.0,
        email: body.email.0,
        phone: body.phone.unwrap_or_default().0,
        roles: body.roles.iter().map(|role| role.proto().into()).collect(),
        idempotency: key.idempotency(),
        bcrypt_hash: body.bcrypt_hash.unwrap_or_default().0,
    };
    let answer = acting.identity().create_member(request).await?.into_inner();
    let member = answer.member.ok_or_else(|| Problem::internal("identity created no member"))?;
    let (location, version) = (format!("/v1/members/{}", member.member_id), member.version);
    let one_time_password = present(answer.one_time_password);
    let password_expires_at = instant(answer.password_expires_at);
    let body = CreatedMember { member: member.into(), one_time_password, password_expires_at };
    Ok(Reply::created(body, location).with_version(version))
}

/// Which members.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichMembers {
    /// Those of this team.
    #[param(value_type = Option<String>)]
    team_id: Option<TeamId>,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
    /// `next` of the page before; absent for the first page.
    #[param(value_type = Option<String>)]
    after: Option<Text>,
}

/// A page of members.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemberPage {
    members: Vec<Member>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists the members.
#[utoipa::path(get, path = "/v1/members", tag = "members", params(WhichMembers),
    responses((status = 200, body = MemberPage)),
    extensions(("x-lethe-rpc" = json!("ListMembers"))))]
pub(crate) async fn list_members(
    acting: Acting,
    Query(query): Query<WhichMembers>,
) -> Result<Reply<MemberPage>, Problem> {
    let team_id = query.team_id.map(|team| team.to_string()).unwrap_or_default();
    let list = acting.list("ListMembers", &team_id);
    let page = list.page(query.limit, query.after.as_ref().map(|after| after.0.as_str()))?;
    let request = ListMembersRequest { page, team_id: team_id.clone() };
    let answer = acting.identity().list_members(request).await?.into_inner();
    let next = list.next(&answer.next);
    Ok(Reply::ok(MemberPage { members: answer.members.into_iter().map(Member::from).collect(), next }))
}

/// Shows a member.
#[utoipa::path(get, path = "/v1/members/{member_id}", tag = "members",
    params(("member_id" = String, Path, description = "The member's id.", example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Member)),
    extensions(("x-lethe-rpc" = json!("GetMember"))))]
pub(crate) async fn get_member(acting: Acting, Id(member): Id<MemberId>) -> Result<Reply<Member>, Problem> {
    let request = GetMemberRequest { member_id: member.to_string() };
    Ok(Member::reply(acting.identity().get_member(request).await?.into_inner()))
}

/// What of a member is changed; absent fields stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Ada King", "phone": null}))]
pub(crate) struct MemberChange {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false)]
    name: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false)]
    email: Option<Text>,
    /// `null` clears it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    phone: Change<Text>,
}

/// Changes a member's name, e-mail address or phone.
#[utoipa::path(patch, path = "/v1/members/{member_id}", tag = "members",
    params(("member_id" = String, Path, description = "The member's id.", example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), IfMatch),
    responses((status = 200, body = Member)),
    extensions(("x-lethe-rpc" = json!("UpdateMember"))))]
pub(crate) async fn update_member(
    acting: Acting,
    Id(member): Id<MemberId>,
    IfMatch(if_version): IfMatch,
    Json(body): Json<MemberChange>,
) -> Result<Reply<Member>, Problem> {
    let request = UpdateMemberRequest {
        member_id: member.to_string(),
        name: body.name.map(|name| name.0),
        email: body.email.map(|email| email.0),
        phone: body.phone.or_empty().map(|phone| phone.0),
        if_version,
    };
    Ok(Member::reply(acting.identity().update_member(request).await?.into_inner()))
}

/// Ends a member's sessions and log-in. The last owner stays.
#[utoipa::path(post, path = "/v1/members/{member_id}/deactivate", tag = "members",
    params(("member_id" = String, Path, description = "The member's id.", example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Member)),
    extensions(("x-lethe-rpc" = json!("DeactivateMember"))))]
pub(crate) async fn deactivate_member(
    acting: Acting,
    Id(member): Id<MemberId>,
    _body: NoBody,
) -> Result<Reply<Member>, Problem> {
    let request = DeactivateMemberRequest { member_id: member.to_string() };
    let answer = acting.identity().deactivate_member(request).await?.into_inner();
    acting.app.sessions().revoked(acting.session.principal.tenant, Revoked::Member(member));
    Ok(Member::reply(answer))
}

/// A password that was made for somebody.
#[derive(Serialize, ToSchema)]
pub(crate) struct OneTimePassword {
    /// Shown once; it must be changed at the first log-in.
    one_time_password: String,
    /// From then on it lets nobody in (RFC 3339).
    password_expires_at: Option<String>,
}

/// Makes a new one-time password for another member, and ends his sessions.
///
/// For a member who lost his. Each request makes another; not for somebody who may do more than who asks (403), nor for one who was
/// deactivated (409).
#[utoipa::path(post, path = "/v1/members/{member_id}/reset-password", tag = "members",
    params(("member_id" = String, Path, description = "The member's id.", example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = OneTimePassword)),
    extensions(("x-lethe-rpc" = json!("ResetPassword"))))]
pub(crate) async fn reset_password(
    acting: Acting,
    Id(member): Id<MemberId>,
    _body: NoBody,
) -> Result<Reply<OneTimePassword>, Problem> {
    let request = ResetPasswordRequest { member_id: member.to_string() };
    let made = acting.identity().reset_password(request).await?.into_inner();
    acting.app.sessions().revoked(acting.session.principal.tenant, Revoked::Member(member));
    let password_expires_at = instant(made.password_expires_at);
    Ok(Reply::ok(OneTimePassword { one_time_password: made.one_time_password, password_expires_at }))
}
