//! OptOutContact: the contact's addresses go on the tenant's list: no outbound message on any channel.

use lethe_ids::ContactId;
use lethe_proto::messaging::{Contact, OptOutContactRequest};
use lethe_service::id;
use tonic::Request;

use crate::{
    domain::keyword::Keyword,
    error::Error,
    state::{Call, State},
};

pub(super) async fn opt_out_contact(
    state: &State,
    request: Request<OptOutContactRequest>,
) -> Result<Contact, Error> {
    let call = Call::of(&request)?;
    let contact: ContactId = id("contact_id", &request.get_ref().contact_id)?;
    state.obey(call.tenant, Some(&call), "OptOutContact", contact, Keyword::Stop, None).await?;
    super::get_contact::read(state, call.tenant, contact).await
}
