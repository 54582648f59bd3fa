//! DeleteContactPicture. Where there is none, nothing changes.

use lethe_ids::ContactId;
use lethe_proto::messaging::{Contact, DeleteContactPictureRequest};
use lethe_service::id;
use tonic::Request;

use crate::{
    error::Error,
    state::{Call, State, Target},
    store::{contact, head, hold, picture},
};

pub(super) async fn delete_contact_picture(
    state: &State,
    request: Request<DeleteContactPictureRequest>,
) -> Result<Contact, Error> {
    let call = Call::of(&request)?;
    let contact: ContactId = id("contact_id", &request.get_ref().contact_id)?;
    let mut tx = state.tx(call.tenant).await?;
    let head = head::require(&mut tx, contact).await?;
    if head.restriction != 0 {
        return Err(Error::Restricted);
    }
    hold::refuse_if_contact_held(&mut tx, contact).await?;
    if picture::delete(&mut tx, contact).await? {
        let seq = head::count_up(&mut tx, contact).await?;
        contact::touch(&mut tx, contact, seq, state.clock.now()).await?;
        state.contact_changed(&mut tx, contact, seq).await?;
        let id = contact.to_string();
        let target = Target { kind: "contact", id: &id, contact };
        state.audit(&mut tx, &call, "DeleteContactPicture", &target).await?;
        state.commit(tx).await?;
    } else {
        drop(tx);
    }
    super::get_contact::read(state, call.tenant, contact).await
}
