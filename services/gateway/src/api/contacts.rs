//! Contacts: the tenant's customers, the data subjects. Looked up by a body, never by a URL.

use std::collections::BTreeMap;

use lethe_ids::{ContactId, LabelId};
use lethe_proto::messaging::{
    self as proto, Addresses, CreateContactRequest, GetContactRequest, LabelIds, LeadScore,
    ListContactsRequest, LookUpContactsRequest, Profile, Tags, UpdateContactRequest,
    look_up_contacts_request::By,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::Page;
use crate::{
    body::{Json, Reply},
    json::{Change, Named, PageLimit, Text, instant, present},
    path::Id,
    precondition::{IdempotencyKey, IfMatch},
    problem::Problem,
    query::Query,
    session::Acting,
};

/// A contact.
#[derive(Serialize, ToSchema)]
pub(crate) struct Contact {
    #[schema(example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    contact_id: String,
    #[schema(example = "Grace Hopper")]
    name: Option<String>,
    /// E.164.
    #[schema(example = "+12025550123")]
    phone: Option<String>,
    #[schema(example = "grace@example.org")]
    email: Option<String>,
    company: Option<String>,
    address: Option<String>,
    tags: Vec<String>,
    custom_fields: BTreeMap<String, String>,
    /// One that the list of labels does not have any more names nothing.
    label_ids: Vec<String>,
    #[schema(example = "customer")]
    lifecycle_stage: Option<String>,
    lead_score: Option<u32>,
    /// What else it is found by beside `phone`: mostly from merges.
    other_phones: Vec<String>,
    /// The same beside `email`.
    other_emails: Vec<String>,
    /// At `/v1/contacts/{contact_id}/picture`.
    has_picture: bool,
    /// What it says is refused with `CONTACT_BANNED`.
    banned: bool,
    /// Kept, but not used (GDPR Art. 18).
    restricted: bool,
    /// On the opt-out list: nothing is sent.
    opted_out: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Option<String>,
    version: u64,
    /// For `wait_for` of a search.
    seq: u64,
}

impl From<proto::Contact> for Contact {
    fn from(contact: proto::Contact) -> Self {
        let profile = contact.profile.unwrap_or_default();
        Self {
            contact_id: contact.contact_id,
            name: present(profile.name),
            phone: present(profile.phone),
            email: present(profile.email),
            company: present(profile.company),
            address: present(profile.address),
            tags: profile.tags,
            custom_fields: profile.custom_fields.into_iter().collect(),
            label_ids: profile.label_ids,
            lifecycle_stage: present(profile.lifecycle_stage),
            lead_score: profile.lead_score,
            other_phones: profile.other_phones,
            other_emails: profile.other_emails,
            has_picture: contact.has_picture,
            banned: contact.banned,
            restricted: contact.restricted,
            opted_out: contact.opted_out,
            created_at: instant(contact.created_at),
            updated_at: instant(contact.updated_at),
            version: contact.version,
            seq: contact.seq,
        }
    }
}

impl Contact {
    /// With its entity tag.
    pub(super) fn reply(contact: proto::Contact) -> Reply<Self> {
        let version = contact.version;
        Reply::ok(Self::from(contact)).with_version(version)
    }
}

/// A new contact. Every field may be left out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Grace Hopper", "phone": "+12025550123", "email": "grace@example.org",
    "tags": ["navy"], "custom_fields": {"loyalty_card": "1906"}, "lifecycle_stage": "lead", "lead_score": 40
}))]
pub(crate) struct NewContact {
    /// At most 200 characters, as each of the next four.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    name: Option<Text>,
    /// In international form; kept as E.164.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    phone: Option<Text>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    email: Option<Text>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    company: Option<Text>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    address: Option<Text>,
    /// At most 50, of 64 characters.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, nullable = false, max_items = 50)]
    tags: Vec<Text>,
    /// At most 50; names of 64, values of 1,024 characters.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, String>>, nullable = false)]
    custom_fields: Named<Text>,
    /// Of labels that there are; at most 50.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, nullable = false, max_items = 50)]
    label_ids: Vec<LabelId>,
    /// A code of the tenant's own, such as `lead`, `prospect`, `customer`, `former_customer`.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 32, pattern = "^[a-z0-9_]*$")]
    lifecycle_stage: Option<Text>,
    #[serde(default)]
    #[schema(maximum = 100)]
    lead_score: Option<u32>,
    /// What else it is found by; at most 20.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, nullable = false, max_items = 20)]
    other_phones: Vec<Text>,
    /// At most 20.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, nullable = false, max_items = 20)]
    other_emails: Vec<Text>,
}

impl NewContact {
    /// As the services have it.
    pub(super) fn profile(self) -> Profile {
        Profile {
            name: self.name.unwrap_or_default().0,
            phone: self.phone.unwrap_or_default().0,
            email: self.email.unwrap_or_default().0,
            company: self.company.unwrap_or_default().0,
            address: self.address.unwrap_or_default().0,
            tags: self.tags.into_iter().map(|tag| tag.0).collect(),
            custom_fields: self.custom_fields.map(|value| value.0),
            label_ids: self.label_ids.iter().map(LabelId::to_string).collect(),
            lifecycle_stage: self.lifecycle_stage.unwrap_or_default().0,
            lead_score: self.lead_score,
            other_phones: self.other_phones.into_iter().map(|phone| phone.0).collect(),
            other_emails: self.other_emails.into_iter().map(|email| email.0).collect(),
        }
    }
}

/// Creates a contact.
#[utoipa::path(post, path = "/v1/contacts", tag = "contacts", params(IdempotencyKey),
    responses((status = 201, body = Contact)),
    extensions(("x-lethe-rpc" = json!("CreateContact"))))]
pub(crate) async fn create_contact(
    acting: Acting,
    key: IdempotencyKey,
    Json(body): Json<NewContact>,
) -> Result<Reply<Contact>, Problem> {
    let request = CreateContactRequest { profile: Some(body.profile()), idempotency: key.idempotency() };
    let contact = acting.contacts().create_contact(request).await?.into_inner();
    let (location, version) = (format!("/v1/contacts/{}", contact.contact_id), contact.version);
    Ok(Reply::created(Contact::from(contact), location).with_version(version))
}

/// A page of contacts.
#[derive(Serialize, ToSchema)]
pub(crate) struct ContactPage {
    contacts: Vec<Contact>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists the contacts, newest first.
#[utoipa::path(get, path = "/v1/contacts", tag = "contacts", params(Page),
    responses((status = 200, body = ContactPage)),
    extensions(("x-lethe-rpc" = json!("ListContacts"))))]
pub(crate) async fn list_contacts(
    acting: Acting,
    Query(page): Query<Page>,
) -> Result<Reply<ContactPage>, Problem> {
    let list = acting.list("ListContacts", "");
    let request = ListContactsRequest { page: list.page(page.limit, page.after())? };
    let answer = acting.contacts().list_contacts(request).await?.into_inner();
    let next = list.next(&answer.next);
    Ok(Reply::ok(ContactPage { contacts: answer.contacts.into_iter().map(Contact::from).collect(), next }))
}

/// Shows a contact. The id of one that was merged shows the contact that it is now, under that one's id.
#[utoipa::path(get, path = "/v1/contacts/{contact_id}", tag = "contacts",
    params(("contact_id" = String, Path, description = "The contact's id.", example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Contact)),
    extensions(("x-lethe-rpc" = json!("GetContact"))))]
pub(crate) async fn get_contact(
    acting: Acting,
    Id(contact): Id<ContactId>,
) -> Result<Reply<Contact>, Problem> {
    let request = GetContactRequest { contact_id: contact.to_string() };
    Ok(Contact::reply(acting.contacts().get_contact(request).await?.into_inner()))
}

/// What of a contact is changed; absent fields stay, `null` clears.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"phone": "+12025550199", "company": null, "custom_fields": {"loyalty_card": null}}))]
pub(crate) struct ContactChange {
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    name: Change<Text>,
    /// In international form; kept as E.164.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    phone: Change<Text>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    email: Change<Text>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    company: Change<Text>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    address: Change<Text>,
    /// All of them anew.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 50)]
    tags: Change<Vec<Text>>,
    /// Names given here are set; `null` removes one.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>, nullable = false)]
    custom_fields: Named<Option<Text>>,
    /// All of them anew.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 50)]
    label_ids: Change<Vec<LabelId>>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 32, pattern = "^[a-z0-9_]*$")]
    lifecycle_stage: Change<Text>,
    #[serde(default)]
    #[schema(value_type = Option<u32>, maximum = 100)]
    lead_score: Change<u32>,
    /// All of them anew.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 20)]
    other_phones: Change<Vec<Text>>,
    /// All of them anew.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 20)]
    other_emails: Change<Vec<Text>>,
}

/// Rectifies a contact (GDPR Art. 16).
#[utoipa::path(patch, path = "/v1/contacts/{contact_id}", tag = "contacts",
    params(("contact_id" = String, Path, description = "The contact's id.", example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), IfMatch),
    responses((status = 200, body = Contact)),
    extensions(("x-lethe-rpc" = json!("UpdateContact"))))]
pub(crate) async fn update_contact(
    acting: Acting,
    Id(contact): Id<ContactId>,
    IfMatch(if_version): IfMatch,
    Json(body): Json<ContactChange>,
) -> Result<Reply<Contact>, Problem> {
    let text = |change: Change<Text>| change.or_empty().map(|text| text.0);
    let addresses = |change: Change<Vec<Text>>| {
        let addresses = change.or_empty()?.into_iter().map(|text| text.0).collect();
        Some(Addresses { values: addresses })
    };
    let request = UpdateContactRequest {
        contact_id: contact.to_string(),
        name: text(body.name),
        phone: text(body.phone),
        email: text(body.email),
        company: text(body.company),
        address: text(body.address),
        tags: body.tags.or_empty().map(|tags| Tags { values: tags.into_iter().map(|tag| tag.0).collect() }),
        custom_fields: body.custom_fields.map(|value| value.unwrap_or_default().0),
        if_version,
        label_ids: body
            .label_ids
            .or_empty()
            .map(|labels| LabelIds { values: labels.iter().map(LabelId::to_string).collect() }),
        lifecycle_stage: text(body.lifecycle_stage),
        lead_score: match body.lead_score {
            Change::Keep => None,
            Change::Clear => Some(LeadScore { value: None }),
            Change::Set(score) => Some(LeadScore { value: Some(score) }),
        },
        other_phones: addresses(body.other_phones),
        other_emails: addresses(body.other_emails),
    };
    Ok(Contact::reply(acting.contacts().update_contact(request).await?.into_inner()))
}

/// An address to look for: exactly one of both.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "grace@example.org"}))]
pub(crate) struct LookUp {
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    phone: Option<Text>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    email: Option<Text>,
    /// How many at most.
    #[serde(default)]
    #[schema(value_type = Option<u32>, nullable = false, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
    /// `next` of the page before; absent for the first page.
    #[serde(default)]
    #[schema(value_type = Option<String>, nullable = false)]
    after: Option<Text>,
}

/// The contacts that have the address, oldest first. A page may hold fewer than asked for, and not be the last.
#[derive(Serialize, ToSchema)]
pub(crate) struct FoundContacts {
    contacts: Vec<Contact>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Finds contacts by phone or e-mail address.
#[utoipa::path(post, path = "/v1/contacts/look-up", tag = "contacts",
    responses((status = 200, body = FoundContacts)),
    extensions(("x-lethe-rpc" = json!("LookUpContacts")), ("x-lethe-reads" = json!(true))))]
pub(crate) async fn look_up_contacts(
    acting: Acting,
    Json(body): Json<LookUp>,
) -> Result<Reply<FoundContacts>, Problem> {
    let by = match (body.phone, body.email) {
        (Some(phone), None) => By::Phone(phone.0),
        (None, Some(email)) => By::Email(email.0),
        (given, _) => {
            let (code, detail) = match given {
                Some(_) => ("FIELD_INVALID", "give either phone or email"),
                None => ("FIELD_MISSING", "give phone or email"),
            };
            return Err(Problem::new(http::StatusCode::UNPROCESSABLE_ENTITY, code, detail).at("email"));
        }
    };
    // The address itself is no filter of the cursor's: with another one it shows that one's contacts.
    let list = acting.list("LookUpContacts", "");
    let page = list.page(body.limit, body.after.as_ref().map(|after| after.0.as_str()))?;
    let request = LookUpContactsRequest { by: Some(by), page };
    let answer = acting.contacts().look_up_contacts(request).await?.into_inner();
    let next = list.next(&answer.next);
    Ok(Reply::ok(FoundContacts { contacts: answer.contacts.into_iter().map(Contact::from).collect(), next }))
}
