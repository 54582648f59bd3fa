//! `DeletePhoto`: the photo goes, and its secret with it. Twice is as once.

use lethe_ids::MemberId;
use lethe_proto::identity::{DeletePhotoRequest, DeletePhotoResponse};
use lethe_service::id;
use tonic::Request;

use super::super::{Call, Identity};
use crate::Error;

pub(super) async fn handle(
    identity: &Identity,
    request: Request<DeletePhotoRequest>,
) -> Result<DeletePhotoResponse, Error> {
    let call = Call::of(&request)?;
    let member: MemberId = id("member_id", &request.get_ref().member_id)?;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    super::sitter(&mut tx, &call, member).await?;
    if super::take_away(identity, &mut tx, member).await? {
        identity.record(&mut tx, call.actor(), call.done("DeletePhoto", "member", member)).await?;
        tx.commit().await?;
        super::destroy_retired(identity, call.tenant()).await;
    }
    Ok(DeletePhotoResponse {})
}
