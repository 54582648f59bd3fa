//! BanContact: what the contact says is refused, and whoever comes with one of its addresses begins banned.

use lethe_proto::messaging::{BanContactRequest, Contact};
use lethe_service::id;
use tonic::Request;

use crate::{
    banning::Ban,
    error::Error,
    state::{Call, State},
};

pub(super) async fn ban_contact(
    state: &State,
    request: Request<BanContactRequest>,
) -> Result<Contact, Error> {
    let call = Call::of(&request)?;
    let contact = id("contact_id", &request.get_ref().contact_id)?;
    state.set_ban(&call, "BanContact", contact, Ban::On).await?;
    super::get_contact::read(state, call.tenant, contact).await
}
