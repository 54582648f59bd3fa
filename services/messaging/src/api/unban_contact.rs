//! UnbanContact: the contact may write again, and so may whoever comes with one of its addresses.

use lethe_proto::messaging::{Contact, UnbanContactRequest};
use lethe_service::id;
use tonic::Request;

use crate::{
    banning::Ban,
    error::Error,
    state::{Call, State},
};

pub(super) async fn unban_contact(
    state: &State,
    request: Request<UnbanContactRequest>,
) -> Result<Contact, Error> {
    let call = Call::of(&request)?;
    let contact = id("contact_id", &request.get_ref().contact_id)?;
    state.set_ban(&call, "UnbanContact", contact, Ban::Off).await?;
    super::get_contact::read(state, call.tenant, contact).await
}
