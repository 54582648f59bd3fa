//! `GetMemberErasure`: where the widest erasure of a member stands.

use lethe_ids::MemberId;
use lethe_proto::identity::{GetMemberErasureRequest, MemberErasure};
use lethe_service::id;
use tonic::Request;

use super::super::{Call, Identity};
use crate::{Error, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<GetMemberErasureRequest>,
) -> Result<MemberErasure, Error> {
    let call = Call::of(&request)?;
    let member: MemberId = id("member_id", &request.get_ref().member_id)?;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    if store::member::get(&mut tx, member).await?.is_none() {
        return Err(Error::NotFound("member"));
    }
    let row = store::member_erasure::widest(&mut tx, member).await?;
    row.map(super::erasure).ok_or(Error::NotFound("member erasure"))
}
