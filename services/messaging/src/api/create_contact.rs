//! CreateContact: a new data subject.

use lethe_ids::ContactId;
use lethe_proto::messaging::{Contact, CreateContactRequest};
use tonic::Request;

use crate::{
    contacts::Begins,
    domain::profile::Profile,
    error::Error,
    seal,
    state::{Call, Origin, State},
    store::{contact, idempotency},
};

/// A contact with a listed address begins opted out.
pub(super) async fn create_contact(
    state: &State,
    request: Request<CreateContactRequest>,
) -> Result<Contact, Error> {
    let call = Call::of(&request)?;
    let tenant = call.tenant;
    let mut request = request.into_inner();
    let key = request.idempotency.take();
    let once = state.once(tenant, "CreateContact", key, &request).await?;
    let profile = Profile::new(request.profile.take().unwrap_or_default())?;
    let mut tx = state.tx(tenant).await?;
    if let Some(made) = state.made_before(&mut tx, once, "contact").await? {
        drop(tx);
        return replay(state, &call, ContactId::new(made)).await;
    }
    state.require_labels(&mut tx, "profile.label_ids", profile.label_ids()).await?;
    drop(tx);

    let new = state.prepare_contact(tenant, &profile).await?;
    let contact = new.contact;
    let mut tx = state.tx(tenant).await?;
    if let Some(once) = once
        && !idempotency::insert(&mut tx, once, Some(contact), contact.uuid(), new.at).await?
    {
        // Another request with the key was faster; the secrets made here have no owner and are swept.
        let made = state.made_before(&mut tx, Some(once), "contact").await?;
        drop(tx);
        return replay(state, &call, ContactId::new(made.ok_or(Error::Gone("contact"))?)).await;
    }
    let how = (Begins::OptedIn, Origin::Request);
    state.insert_contact(&mut tx, (&call, "CreateContact"), &new, &profile, how).await?;
    let row = contact::find(&mut tx, contact).await?.ok_or(Error::Corrupt("contacts"))?;
    state.commit(tx).await?;
    Ok(seal::contact(&row, &profile))
}

async fn replay(state: &State, call: &Call, contact: ContactId) -> Result<Contact, Error> {
    super::get_contact::read(state, call.tenant, contact).await.map_err(|error| match error {
        Error::NotFound(noun) => Error::Gone(noun),
        other => other,
    })
}
