//! GetContact. An id whose contact was merged leads to the survivor.

use lethe_ids::{ContactId, TenantId};
use lethe_proto::messaging::{Contact, GetContactRequest};
use lethe_service::id;
use tonic::Request;

use crate::{
    error::Error,
    seal,
    state::{Call, State},
    store::contact,
};

pub(super) async fn get_contact(
    state: &State,
    request: Request<GetContactRequest>,
) -> Result<Contact, Error> {
    let call = Call::of(&request)?;
    let contact = id("contact_id", &request.get_ref().contact_id)?;
    read(state, call.tenant, contact).await
}

/// The contact as it is now.
pub(super) async fn read(state: &State, tenant: TenantId, contact: ContactId) -> Result<Contact, Error> {
    let mut tx = state.tx(tenant).await?;
    let row = match contact::require(&mut tx, contact).await {
        Err(Error::Merged(survivor)) => contact::require(&mut tx, survivor).await?,
        row => row?,
    };
    drop(tx);
    let profile = state.open_profile(tenant, &row).await?;
    Ok(seal::contact(&row, &profile))
}
