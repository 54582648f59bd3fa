//! CreateContact: a new data subject. Its secrets come first, then its addresses in the blind index, then its rows.

use lethe_ids::{ContactId, SubjectId, UnitId};
use lethe_proto::messaging::{Contact, CreateContactRequest};
use tonic::Request;

use crate::{
    domain::profile::Profile,
    error::Error,
    seal,
    state::{Call, State, Target},
    store::{
        ban,
        contact::{self, NewContact},
        idempotency,
    },
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

    let contact = ContactId::new(state.entropy.uuid7(&state.clock));
    let (subject, unit) = (SubjectId::new(state.entropy.uuid4()), UnitId::new(state.entropy.uuid4()));
    state.create_secrets(tenant, Some(subject), &[unit], subject).await?;
    let addresses = profile.addresses();
    state.settle_addresses(tenant, subject, &addresses, None).await?;
    let sealer = state.sealer(tenant, subject, unit, "contact").await?;
    let macs = state.suppression_macs(tenant, &addresses).await?;
    let at = state.clock.now();

    let mut tx = state.tx(tenant).await?;
    if let Some(once) = once
        && !idempotency::insert(&mut tx, once, Some(contact), contact.uuid(), at).await?
    {
        // Another request with the key was faster; the secrets made here have no owner and are swept.
        let made = state.made_before(&mut tx, Some(once), "contact").await?;
        drop(tx);
        return replay(state, &call, ContactId::new(made.ok_or(Error::Gone("contact"))?)).await;
    }
    let opted_out = macs.lock_and_ask(&mut tx).await?;
    let sealed = seal::seal_profile(&sealer, contact, 1, &profile);
    contact::insert(&mut tx, &NewContact { contact, subject, unit, profile: &sealed, opted_out, at }).await?;
    if opted_out {
        macs.add(&mut tx).await?;
    }
    if macs.are_banned(&mut tx).await? {
        ban::ban(&mut tx, contact, at).await?;
    }
    state.contact_changed(&mut tx, contact, 1).await?;
    let id = contact.to_string();
    state.audit(&mut tx, &call, "CreateContact", &Target { kind: "contact", id: &id, contact }).await?;
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
