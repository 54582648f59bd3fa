//! The opt-out list: whoever is on it gets no message, on any channel.

use lethe_ids::ContactId;
use lethe_proto::messaging::{OptInContactRequest, OptOutContactRequest};

use super::contacts::Contact;
use crate::{
    body::{NoBody, Reply},
    path::Id,
    problem::Problem,
    session::Acting,
};

/// Puts a contact on the opt-out list.
#[utoipa::path(put, path = "/v1/contacts/{contact_id}/opt-out", tag = "contacts",
    params(("contact_id" = String, Path, description = "The contact's id.", example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Contact)),
    extensions(("x-lethe-rpc" = json!("OptOutContact"))))]
pub(crate) async fn opt_out_contact(
    acting: Acting,
    Id(contact): Id<ContactId>,
    _body: NoBody,
) -> Result<Reply<Contact>, Problem> {
    let request = OptOutContactRequest { contact_id: contact.to_string() };
    Ok(Contact::reply(acting.contacts().opt_out_contact(request).await?.into_inner()))
}

/// Takes a contact off the opt-out list.
#[utoipa::path(delete, path = "/v1/contacts/{contact_id}/opt-out", tag = "contacts",
    params(("contact_id" = String, Path, description = "The contact's id.", example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Contact)),
    extensions(("x-lethe-rpc" = json!("OptInContact"))))]
pub(crate) async fn opt_in_contact(
    acting: Acting,
    Id(contact): Id<ContactId>,
    _body: NoBody,
) -> Result<Reply<Contact>, Problem> {
    let request = OptInContactRequest { contact_id: contact.to_string() };
    Ok(Contact::reply(acting.contacts().opt_in_contact(request).await?.into_inner()))
}
