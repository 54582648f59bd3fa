//! Restriction of processing (GDPR Art. 18): a contact's data is kept, and not used.

use lethe_ids::ContactId;
use lethe_proto::messaging::{self as proto, LiftRestrictionRequest, RestrictContactRequest};
use serde::Deserialize;
use utoipa::ToSchema;

use super::contacts::Contact;
use crate::{
    body::{Json, NoBody, Reply},
    json::wire_enum,
    path::Id,
    problem::Problem,
    session::Acting,
};

wire_enum! {
    /// The ground of Art. 18(1).
    Ground is proto::RestrictionGround {
        /// (a) The accuracy is contested.
        Accuracy = "accuracy",
        /// (b) The processing is unlawful, and the person wants restriction instead of erasure.
        Unlawful = "unlawful",
        /// (c) The person needs the data for legal claims.
        Claims = "claims",
        /// (d) An objection is being weighed.
        Objection = "objection",
    }
}

/// Why the contact is restricted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"ground": "accuracy"}))]
pub(crate) struct Restriction {
    ground: Ground,
}

/// Restricts a contact: nothing is sent, nothing is found by search.
#[utoipa::path(put, path = "/v1/contacts/{contact_id}/restriction", tag = "contacts",
    params(("contact_id" = String, Path, description = "The contact's id.", example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Contact)),
    extensions(("x-lethe-rpc" = json!("RestrictContact"))))]
pub(crate) async fn restrict_contact(
    acting: Acting,
    Id(contact): Id<ContactId>,
    Json(body): Json<Restriction>,
) -> Result<Reply<Contact>, Problem> {
    let request =
        RestrictContactRequest { contact_id: contact.to_string(), ground: body.ground.proto().into() };
    Ok(Contact::reply(acting.contacts().restrict_contact(request).await?.into_inner()))
}

/// Lifts the restriction.
#[utoipa::path(delete, path = "/v1/contacts/{contact_id}/restriction", tag = "contacts",
    params(("contact_id" = String, Path, description = "The contact's id.", example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Contact)),
    extensions(("x-lethe-rpc" = json!("LiftRestriction"))))]
pub(crate) async fn lift_restriction(
    acting: Acting,
    Id(contact): Id<ContactId>,
    _body: NoBody,
) -> Result<Reply<Contact>, Problem> {
    let request = LiftRestrictionRequest { contact_id: contact.to_string() };
    Ok(Contact::reply(acting.contacts().lift_restriction(request).await?.into_inner()))
}
