//! `SetPhoto`: a photo in the place of the one there was. Its secret is made before the row; the old one's is destroyed after.

use lethe_ids::{MemberId, UnitId};
use lethe_keyring::Purpose;
use lethe_proto::identity::{SetPhotoRequest, SetPhotoResponse};
use lethe_service::id;
use tonic::Request;

use super::super::{Call, Identity};
use crate::{
    Error,
    domain::photo::MediaType,
    store::{self, photo::PhotoRow},
};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<SetPhotoRequest>,
) -> Result<SetPhotoResponse, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let member: MemberId = id("member_id", &asked.member_id)?;
    let media_type = MediaType::of(&asked.media_type, &asked.photo)?;
    let tenant = call.tenant();
    let mut tx = identity.0.db.tenant(tenant).await?;
    let row = super::sitter(&mut tx, &call, member).await?;
    if !row.active {
        return Err(Error::MemberInactive);
    }
    // No network inside of a transaction: it is looked at again below.
    drop(tx);
    let unit = UnitId::new(identity.0.entropy.uuid7(&identity.0.clock));
    identity.0.keyring.create(tenant, None, &[unit], row.subject).await?;
    let sealer = identity.0.keyring.sealer(tenant, row.subject, unit).await?;
    let photo_id = identity.0.entropy.uuid4();
    let photo = PhotoRow {
        id: photo_id,
        unit,
        media_type: media_type.as_str().to_owned(),
        photo: sealer.seal(Purpose::MemberPhoto, photo_id, 1, &asked.photo),
    };

    let mut tx = identity.0.db.tenant(tenant).await?;
    if !super::sitter(&mut tx, &call, member).await?.active {
        return Err(Error::MemberInactive);
    }
    let replaced = super::take_away(identity, &mut tx, member).await?;
    store::photo::insert(&mut tx, member, &photo, identity.0.clock.now()).await?;
    identity.record(&mut tx, call.actor(), call.done("SetPhoto", "member", member)).await?;
    tx.commit().await?;
    if replaced {
        super::destroy_retired(identity, tenant).await;
    }
    Ok(SetPhotoResponse { tag: photo_id.simple().to_string() })
}
