//! `GetPhoto`: a member's photo, or its tag alone for a caller who has it.

use lethe_access::Permission;
use lethe_ids::MemberId;
use lethe_keyring::{KeyError, Purpose};
use lethe_proto::identity::{GetPhotoRequest, GetPhotoResponse};
use lethe_service::id;
use tonic::Request;

use super::super::{Call, Identity};
use crate::{Error, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<GetPhotoRequest>,
) -> Result<GetPhotoResponse, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let member: MemberId = id("member_id", &asked.member_id)?;
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    super::may(&call, member, Permission::ReadInbox)?;
    let row = store::member::get(&mut tx, member).await?.ok_or(Error::NotFound("member"))?;
    let photo = store::photo::get(&mut tx, member).await?.ok_or(Error::NotFound("photo"))?;
    drop(tx);
    let tag = photo.id.simple().to_string();
    if asked.unless_tags.contains(&tag) {
        return Ok(GetPhotoResponse { tag, ..GetPhotoResponse::default() });
    }
    let opened = match identity.0.keyring.sealer(call.tenant(), row.subject, photo.unit).await {
        Ok(sealer) => sealer.open(Purpose::MemberPhoto, photo.id, 1, &photo.photo)?,
        // Replaced or erased since the row was read.
        Err(KeyError::Destroyed) => return Err(Error::NotFound("photo")),
        Err(error) => return Err(error.into()),
    };
    Ok(GetPhotoResponse { tag, media_type: photo.media_type, photo: opened.to_vec().into() })
}
