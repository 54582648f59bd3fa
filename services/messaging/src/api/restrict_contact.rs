//! RestrictContact: restriction of processing (GDPR Art. 18). The data is kept and not used: no outbound message, no
//! search hit.

use lethe_ids::ContactId;
use lethe_proto::messaging::{Contact, RestrictContactRequest, RestrictionGround};
use lethe_service::id;
use tonic::Request;

use crate::{
    domain::channel::{Code, required},
    error::Error,
    state::{Call, State, Target},
    store::{contact, head},
};

pub(super) async fn restrict_contact(
    state: &State,
    request: Request<RestrictContactRequest>,
) -> Result<Contact, Error> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let contact = id("contact_id", &request.contact_id)?;
    let ground: RestrictionGround = required("ground", request.ground)?;
    set(state, &call, "RestrictContact", contact, ground.number()).await
}

/// Writes the ground, 0 for none, and answers the contact. Once it stands, saying it again changes nothing.
pub(super) async fn set(
    state: &State,
    call: &Call,
    action: &'static str,
    contact: ContactId,
    ground: i16,
) -> Result<Contact, Error> {
    let mut tx = state.tx(call.tenant).await?;
    let head = head::require(&mut tx, contact).await?;
    if head.restriction != ground {
        let seq = head::count_up(&mut tx, contact).await?;
        head::set_restriction(&mut tx, contact, ground).await?;
        contact::touch(&mut tx, contact, seq, state.clock.now()).await?;
        state.contact_changed(&mut tx, contact, seq).await?;
        let id = contact.to_string();
        state.audit(&mut tx, call, action, &Target { kind: "contact", id: &id, contact }).await?;
        state.commit(tx).await?;
    } else {
        drop(tx);
    }
    super::get_contact::read(state, call.tenant, contact).await
}
