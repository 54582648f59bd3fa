//! Consents of a contact: given or withdrawn (GDPR Art. 7), with their history.

use lethe_ids::ContactId;
use lethe_proto::messaging::{self as proto, ListConsentsRequest, RecordConsentRequest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::Page;
use crate::{
    body::{Json, Reply},
    json::{Text, instant, wire_enum},
    path::Id,
    precondition::IdempotencyKey,
    problem::Problem,
    query::Query,
    session::Acting,
};

wire_enum! {
    /// What it is for.
    ConsentPurpose is proto::ConsentPurpose {
        /// The privacy policy.
        PrivacyPolicy = "privacy_policy",
        /// Marketing messages.
        Marketing = "marketing",
        /// The AI assistant.
        Ai = "ai",
    }
}

wire_enum! {
    /// What was done.
    ConsentAct is proto::ConsentAct {
        /// Given.
        Given = "given",
        /// Withdrawn.
        Withdrawn = "withdrawn",
    }
}

/// A consent given or withdrawn.
#[derive(Serialize, ToSchema)]
pub(crate) struct Consent {
    #[schema(example = "cns_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    consent_id: String,
    #[schema(value_type = ConsentPurpose)]
    purpose: &'static str,
    #[schema(value_type = ConsentAct)]
    act: &'static str,
    /// Where.
    #[schema(example = "widget")]
    source: String,
    #[schema(value_type = String, format = DateTime)]
    at: Option<String>,
}

impl From<proto::Consent> for Consent {
    fn from(consent: proto::Consent) -> Self {
        Self {
            consent_id: consent.consent_id,
            purpose: ConsentPurpose::word(consent.purpose),
            act: ConsentAct::word(consent.act),
            source: consent.source,
            at: instant(consent.at),
        }
    }
}

/// What is recorded.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"purpose": "marketing", "act": "given", "source": "widget"}))]
pub(crate) struct NewConsent {
    purpose: ConsentPurpose,
    act: ConsentAct,
    /// Where it was given or withdrawn: at most 64 of `[a-z0-9_-]`.
    #[schema(value_type = String, max_length = 64, pattern = "^[a-z0-9_-]+$")]
    source: Text,
}

/// Records a consent given or withdrawn.
#[utoipa::path(post, path = "/v1/contacts/{contact_id}/consents", tag = "contacts",
    params(("contact_id" = String, Path, description = "The contact's id.", example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), IdempotencyKey),
    responses((status = 201, body = Consent)),
    extensions(("x-lethe-rpc" = json!("RecordConsent"))))]
pub(crate) async fn record_consent(
    acting: Acting,
    Id(contact): Id<ContactId>,
    key: IdempotencyKey,
    Json(body): Json<NewConsent>,
) -> Result<Reply<Consent>, Problem> {
    let request = RecordConsentRequest {
        contact_id: contact.to_string(),
        purpose: body.purpose.proto().into(),
        act: body.act.proto().into(),
        source: body.source.0,
        idempotency: key.idempotency(),
    };
    let consent = acting.contacts().record_consent(request).await?.into_inner();
    let location = format!("/v1/contacts/{contact}/consents");
    Ok(Reply::created(Consent::from(consent), location))
}

/// A page of consents.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsentPage {
    consents: Vec<Consent>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists a contact's consents with their history.
#[utoipa::path(get, path = "/v1/contacts/{contact_id}/consents", tag = "contacts",
    params(("contact_id" = String, Path, description = "The contact's id.", example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), Page),
    responses((status = 200, body = ConsentPage)),
    extensions(("x-lethe-rpc" = json!("ListConsents"))))]
pub(crate) async fn list_consents(
    acting: Acting,
    Id(contact): Id<ContactId>,
    Query(page): Query<Page>,
) -> Result<Reply<ConsentPage>, Problem> {
    let contact_id = contact.to_string();
    let list = acting.list("ListConsents", &contact_id);
    let request =
        ListConsentsRequest { contact_id: contact_id.clone(), page: list.page(page.limit, page.after())? };
    let answer = acting.contacts().list_consents(request).await?.into_inner();
    let next = list.next(&answer.next);
    Ok(Reply::ok(ConsentPage { consents: answer.consents.into_iter().map(Consent::from).collect(), next }))
}
