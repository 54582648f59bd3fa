//! LookUpContacts: by phone or e-mail address, through the blind index.

use lethe_keyring::normalise;
use lethe_proto::messaging::{LookUpContactsRequest, LookUpContactsResponse, look_up_contacts_request::By};
use lethe_service::{Limit, PageKey, page};
use tonic::Request;
use uuid::Uuid;

use crate::{
    domain::{Invalid, profile::Address},
    error::Error,
    state::{Call, State},
    store::contact,
};

pub(super) async fn look_up_contacts(
    state: &State,
    request: Request<LookUpContactsRequest>,
) -> Result<LookUpContactsResponse, Error> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let limit = Limit::of(request.page.as_ref())?;
    let after = PageKey::of(request.page.as_ref())?.map_or(Uuid::nil(), |key| key.id);
    let by = request.by.ok_or_else(|| Invalid::new("by", "must be a phone or an email"))?;
    let (phone, email);
    let address = match &by {
        By::Phone(text) => {
            phone = normalise::phone(text, None).map_err(|error| Invalid::new("phone", error.to_string()))?;
            Address::Phone(&phone)
        }
        By::Email(text) => {
            email = normalise::email(text).map_err(|error| Invalid::new("email", error.to_string()))?;
            Address::Email(&email)
        }
    };
    let (kind, text) = address.kind_and_text();
    let subjects = state.keyring.find_subjects(call.tenant, kind, text).await?;
    if subjects.is_empty() {
        return Ok(LookUpContactsResponse::default());
    }
    let mut tx = state.tx(call.tenant).await?;
    let mut rows = contact::of_subjects_after(&mut tx, &subjects, after, limit.and_one()).await?;
    drop(tx);
    let next = page::next(&mut rows, limit, |row| PageKey { at: row.created_at, id: row.id().uuid() });
    let contacts = state.open_contacts(call.tenant, &rows).await?;
    // While a rectification is under way the blind index knows the old address too.
    let found = contacts.into_iter().filter(|(_, profile)| profile.has(address));
    Ok(LookUpContactsResponse { contacts: found.map(|(contact, _)| contact).collect(), next })
}
