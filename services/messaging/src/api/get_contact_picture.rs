//! GetContactPicture.

use lethe_ids::ContactId;
use lethe_proto::messaging::{ContactPicture, GetContactPictureRequest};
use lethe_service::id;
use tonic::Request;

use crate::{
    domain::picture::MediaType,
    error::Error,
    seal,
    state::{Call, State},
    store::{contact, picture},
};

pub(super) async fn get_contact_picture(
    state: &State,
    request: Request<GetContactPictureRequest>,
) -> Result<ContactPicture, Error> {
    let call = Call::of(&request)?;
    let contact: ContactId = id("contact_id", &request.get_ref().contact_id)?;
    let mut tx = state.tx(call.tenant).await?;
    let row = contact::require(&mut tx, contact).await?;
    let picture = picture::find(&mut tx, contact).await?.ok_or(Error::NotFound("picture"))?;
    drop(tx);
    let sealer = state.sealer(call.tenant, row.subject(), row.unit(), "contact").await?;
    let content = seal::open_picture(&sealer, contact, &picture)?;
    let media_type = MediaType::of_number(picture.media_type).ok_or(Error::Corrupt("contact_pictures"))?;
    Ok(ContactPicture {
        media_type: media_type.text().to_owned(),
        content: content.to_vec().into(),
        version: u64::from(picture.version.unsigned_abs()),
    })
}
