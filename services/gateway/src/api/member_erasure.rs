//! The erasure of a member who left.

use lethe_access::Revoked;
use lethe_ids::MemberId;
use lethe_proto::identity::{self as proto, EraseMemberRequest, GetMemberErasureRequest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    body::{Json, Reply},
    json::{Text, instant, wire_enum},
    path::Id,
    problem::Problem,
    session::Acting,
};

wire_enum! {
    /// How much of a member who left is erased.
    MemberErasureMode is proto::MemberErasureMode {
        /// His photo and his full name.
        Profile = "profile",
        /// Everything but his id.
        All = "all",
    }
}

/// What was looked for in one place.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemberFinding {
    #[schema(example = "postgres")]
    store: String,
    #[schema(example = "member_photos")]
    kind: String,
    looked_for: u64,
    /// How many are still there.
    found: u64,
    #[schema(example = "ROWS_ABSENT")]
    code: String,
}

/// The erasure of a member.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemberErasure {
    #[schema(example = "era_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    erasure_id: String,
    #[schema(example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    member_id: String,
    #[schema(value_type = MemberErasureMode)]
    mode: &'static str,
    /// Who asked for it.
    #[schema(example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    requested_by: String,
    #[schema(value_type = String, format = DateTime)]
    requested_at: Option<String>,
    /// When everything was read again and nothing was there; `null` before: it goes on by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    erased_at: Option<String>,
    /// What was read again.
    findings: Vec<MemberFinding>,
}

impl From<proto::MemberErasure> for MemberErasure {
    fn from(erasure: proto::MemberErasure) -> Self {
        let finding = |finding: lethe_proto::erasure::Finding| MemberFinding {
            store: finding.store,
            kind: finding.kind,
            looked_for: finding.looked_for,
            found: finding.found,
            code: finding.code,
        };
        Self {
            erasure_id: erasure.erasure_id,
            member_id: erasure.member_id,
            mode: MemberErasureMode::word(erasure.mode),
            requested_by: erasure.requested_by,
            requested_at: instant(erasure.requested_at),
            erased_at: instant(erasure.erased_at),
            findings: erasure.findings.into_iter().map(finding).collect(),
        }
    }
}

/// How much is to be erased.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"mode": "profile", "first_name": "Ada", "confirmation": "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa"}))]
pub(crate) struct NewMemberErasure {
    mode: MemberErasureMode,
    /// With `profile`: what may stay of the name, a part of it. Absent: nothing stays.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    first_name: Option<Text>,
    /// The member's id once more.
    #[schema(value_type = String)]
    confirmation: Text,
}

/// Erases a member who was deactivated. There is no way back; his conversations stay, under his id.
#[utoipa::path(post, path = "/v1/members/{member_id}/erase", tag = "members",
    params(("member_id" = String, Path, description = "The member's id.", example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = MemberErasure)),
    extensions(("x-lethe-rpc" = json!("EraseMember"))))]
pub(crate) async fn erase_member(
    acting: Acting,
    Id(member): Id<MemberId>,
    Json(body): Json<NewMemberErasure>,
) -> Result<Reply<MemberErasure>, Problem> {
    let request = EraseMemberRequest {
        member_id: member.to_string(),
        mode: body.mode.proto().into(),
        first_name: body.first_name.unwrap_or_default().0,
        confirmation: body.confirmation.0,
    };
    let answer = acting.persons().erase_member(request).await?.into_inner();
    acting.app.sessions().revoked(acting.session.principal.tenant, Revoked::Member(member));
    Ok(Reply::ok(answer.into()))
}

/// Shows where the erasure of a member stands, and what was read again.
#[utoipa::path(get, path = "/v1/members/{member_id}/erasure", tag = "members",
    params(("member_id" = String, Path, description = "The member's id.", example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = MemberErasure)),
    extensions(("x-lethe-rpc" = json!("GetMemberErasure"))))]
pub(crate) async fn get_member_erasure(
    acting: Acting,
    Id(member): Id<MemberId>,
) -> Result<Reply<MemberErasure>, Problem> {
    let request = GetMemberErasureRequest { member_id: member.to_string() };
    Ok(Reply::ok(acting.persons().get_member_erasure(request).await?.into_inner().into()))
}
