//! `EraseMember`: see `crate::erase_member`. Answers what was read again; where a store is away, that it goes on by itself.

use lethe_ids::MemberId;
use lethe_proto::identity::{EraseMemberRequest, MemberErasure};
use lethe_service::{Failure, id};
use tonic::Request;

use super::super::{Call, Identity};
use crate::{
    Error,
    domain::{Invalid, member_erasure::Mode},
    erase_member, store,
};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<EraseMemberRequest>,
) -> Result<MemberErasure, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let member: MemberId = id("member_id", &asked.member_id)?;
    let mode = Mode::parse("mode", asked.mode)?;
    if mode == Mode::All && !asked.first_name.is_empty() {
        return Err(Invalid::new("first_name", "stays only when the profile alone goes").into());
    }
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    if store::member::get(&mut tx, member).await?.is_none() {
        return Err(Error::NotFound("member"));
    }
    drop(tx);
    if asked.confirmation != asked.member_id {
        return Err(Invalid::new("confirmation", "must be the member's id once more").into());
    }
    let begun = erase_member::begin(identity, &call, member, mode, &asked.first_name).await?;
    match erase_member::finish(identity, call.tenant(), begun.id).await {
        Ok(erased) => Ok(super::erasure(erased)),
        Err(error) => {
            let failure = Failure::from(error);
            tracing::warn!(erasure = %begun.id, error = %failure, "the erasure of a member waits for the job");
            Ok(super::erasure(begun))
        }
    }
}
