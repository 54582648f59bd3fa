//! Merging contacts that are one person.

use lethe_ids::ContactId;
use lethe_proto::messaging::MergeContactsRequest;
use serde::Deserialize;
use utoipa::ToSchema;

use super::contacts::Contact;
use crate::{
    body::{Json, Reply},
    path::Id,
    problem::Problem,
    session::Acting,
};

/// Who is the same person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"merged_contact_id": "con_01998f2ac3e47b0f8a5d2f60b1c9e7ab"}))]
pub(crate) struct Merge {
    /// The contact that stays no contact of its own.
    #[schema(value_type = String)]
    merged_contact_id: ContactId,
}

/// Merges another contact into this one, for good.
///
/// Conversations, addresses, consents, tags and custom fields of the merged contact are this one's from then on; where both have
/// a field, this one's stays. Whoever of them opted out, withdrew a consent or is banned, both have. `GET` of the merged
/// contact's id shows this one; anything else asked of that id is refused with `CONTACT_MERGED`, but for its erasure, which
/// erases the whole person. A repeated merge answers the contact as it is.
///
/// Refused (409) while something of either is under a legal hold (`LEGAL_HOLD_ACTIVE`), being erased (`BEING_ERASED`) or
/// restricted (`CONTACT_RESTRICTED`), and where the two together have more than a contact may (`TOO_MANY_TAGS`,
/// `TOO_MANY_CUSTOM_FIELDS`, `TOO_MANY_LABELS`, `TOO_MANY_OTHER_PHONES`, `TOO_MANY_OTHER_EMAILS`, `TOO_MANY_CONVERSATIONS`).
#[utoipa::path(post, path = "/v1/contacts/{contact_id}/merge", tag = "contacts",
    params(("contact_id" = String, Path, description = "The id of the contact that stays.", example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Contact)),
    extensions(("x-lethe-rpc" = json!("MergeContacts"))))]
pub(crate) async fn merge_contacts(
    acting: Acting,
    Id(contact): Id<ContactId>,
    Json(body): Json<Merge>,
) -> Result<Reply<Contact>, Problem> {
    let request = MergeContactsRequest {
        contact_id: contact.to_string(),
        merged_contact_id: body.merged_contact_id.to_string(),
    };
    Ok(Contact::reply(acting.contacts().merge_contacts(request).await?.into_inner()))
}
