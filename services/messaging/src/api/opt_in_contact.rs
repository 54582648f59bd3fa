//! OptInContact: the contact may be written to again; its addresses leave the list.

use lethe_ids::ContactId;
use lethe_proto::messaging::{Contact, OptInContactRequest};
use lethe_service::id;
use tonic::Request;

use crate::{
    domain::keyword::Keyword,
    error::Error,
    state::{Call, State},
};

pub(super) async fn opt_in_contact(
    state: &State,
    request: Request<OptInContactRequest>,
) -> Result<Contact, Error> {
    let call = Call::of(&request)?;
    let contact: ContactId = id("contact_id", &request.get_ref().contact_id)?;
    state.obey(call.tenant, Some(&call), "OptInContact", contact, Keyword::Start, None).await?;
    super::get_contact::read(state, call.tenant, contact).await
}
