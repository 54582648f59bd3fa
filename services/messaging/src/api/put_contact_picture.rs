//! PutContactPicture: the picture, or another in its place. It is sealed under the profile's unit and goes with it.

use lethe_ids::ContactId;
use lethe_proto::messaging::{Contact, PutContactPictureRequest};
use lethe_service::id;
use tonic::Request;

use crate::{
    domain::picture::Picture,
    error::Error,
    seal,
    state::{ATTEMPTS, Call, State, Target},
    store::{
        contact, head, hold,
        picture::{self, PictureRow},
    },
};

pub(super) async fn put_contact_picture(
    state: &State,
    request: Request<PutContactPictureRequest>,
) -> Result<Contact, Error> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let contact: ContactId = id("contact_id", &request.contact_id)?;
    let picture = Picture::new(&request.media_type, request.content)?;
    for _ in 0..ATTEMPTS {
        if put(state, &call, contact, &picture).await? {
            return super::get_contact::read(state, call.tenant, contact).await;
        }
    }
    Err(Error::Contended)
}

/// `false` when the contact changed between reading and writing it.
async fn put(state: &State, call: &Call, contact: ContactId, picture: &Picture) -> Result<bool, Error> {
    let mut tx = state.tx(call.tenant).await?;
    let row = contact::require(&mut tx, contact).await?;
    let present = picture::find(&mut tx, contact).await?;
    drop(tx);
    let sealer = state.sealer(call.tenant, row.subject(), row.unit(), "contact").await?;
    if let Some(present) = present
        && seal::open_picture(&sealer, contact, &present)?[..] == picture.content[..]
    {
        return Ok(true);
    }
    let version = i32::try_from(row.version + 1).map_err(|_| Error::Corrupt("contacts.version"))?;
    let sealed = seal::seal_picture(&sealer, contact, version, &picture.content);
    let new = PictureRow { media_type: picture.media_type.number(), picture: sealed, version };

    let mut tx = state.tx(call.tenant).await?;
    let head = head::require(&mut tx, contact).await?;
    if head.restriction != 0 {
        return Err(Error::Restricted);
    }
    hold::refuse_if_contact_held(&mut tx, contact).await?;
    if contact::version(&mut tx, contact).await? != Some(row.version) {
        return Ok(false);
    }
    picture::put(&mut tx, contact, &new).await?;
    let seq = head::count_up(&mut tx, contact).await?;
    contact::touch(&mut tx, contact, seq, state.clock.now()).await?;
    state.contact_changed(&mut tx, contact, seq).await?;
    let id = contact.to_string();
    state.audit(&mut tx, call, "PutContactPicture", &Target { kind: "contact", id: &id, contact }).await?;
    state.commit(tx).await?;
    Ok(true)
}
