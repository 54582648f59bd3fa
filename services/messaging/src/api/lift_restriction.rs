//! LiftRestriction: the data may be used again.

use lethe_proto::messaging::{Contact, LiftRestrictionRequest};
use lethe_service::id;
use tonic::Request;

use crate::{
    error::Error,
    state::{Call, State},
};

pub(super) async fn lift_restriction(
    state: &State,
    request: Request<LiftRestrictionRequest>,
) -> Result<Contact, Error> {
    let call = Call::of(&request)?;
    let contact = id("contact_id", &request.get_ref().contact_id)?;
    super::restrict_contact::set(state, &call, "LiftRestriction", contact, 0).await
}
