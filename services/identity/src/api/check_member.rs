//! `CheckMember`: whether somebody is an active member of the tenant. Nothing of him is opened, so it does not need the keystore.

use lethe_ids::MemberId;
use lethe_proto::identity::{CheckMemberRequest, CheckMemberResponse};
use lethe_service::id;
use tonic::Request;

use super::{Call, Identity};
use crate::{Error, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<CheckMemberRequest>,
) -> Result<CheckMemberResponse, Error> {
    let call = Call::of(&request)?;
    let member: MemberId = id("member_id", &request.get_ref().member_id)?;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let row = store::member::get(&mut tx, member).await?.ok_or(Error::NotFound("member"))?;
    Ok(CheckMemberResponse { active: row.active })
}
