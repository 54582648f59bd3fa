//! Spam and bans: conversations out of sight, contacts who are not heard, and whether a detector marks.

use lethe_ids::{ContactId, ConversationId};
use lethe_proto::messaging::{
    self as proto, BanContactRequest, GetSpamSettingsRequest, MarkSpamRequest, UnbanContactRequest,
    UnmarkSpamRequest, UpdateSpamSettingsRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{contacts::Contact, conversations::Conversation};
use crate::{
    body::{Json, NoBody, Reply},
    json::given,
    path::Id,
    precondition::IfMatch,
    problem::Problem,
    session::Acting,
};

/// Marks a conversation as spam: in no list and no search that does not ask for it.
#[utoipa::path(put, path = "/v1/conversations/{conversation_id}/spam", tag = "conversations",
    params(("conversation_id" = String, Path, description = "The conversation's id.", example = "cnv_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Conversation)),
    extensions(("x-lethe-rpc" = json!("MarkSpam"))))]
pub(crate) async fn mark_spam(
    acting: Acting,
    Id(conversation): Id<ConversationId>,
    _body: NoBody,
) -> Result<Reply<Conversation>, Problem> {
    let request = MarkSpamRequest { conversation_id: conversation.to_string() };
    Ok(Conversation::reply(acting.conversations().mark_spam(request).await?.into_inner()))
}

/// Takes the mark away; the detector does not set it again.
#[utoipa::path(delete, path = "/v1/conversations/{conversation_id}/spam", tag = "conversations",
    params(("conversation_id" = String, Path, description = "The conversation's id.", example = "cnv_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Conversation)),
    extensions(("x-lethe-rpc" = json!("UnmarkSpam"))))]
pub(crate) async fn unmark_spam(
    acting: Acting,
    Id(conversation): Id<ConversationId>,
    _body: NoBody,
) -> Result<Reply<Conversation>, Problem> {
    let request = UnmarkSpamRequest { conversation_id: conversation.to_string() };
    Ok(Conversation::reply(acting.conversations().unmark_spam(request).await?.into_inner()))
}

/// Bans a contact: what it says is refused, and so is what whoever comes with one of its addresses says.
#[utoipa::path(put, path = "/v1/contacts/{contact_id}/ban", tag = "contacts",
    params(("contact_id" = String, Path, description = "The contact's id.", example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Contact)),
    extensions(("x-lethe-rpc" = json!("BanContact"))))]
pub(crate) async fn ban_contact(
    acting: Acting,
    Id(contact): Id<ContactId>,
    _body: NoBody,
) -> Result<Reply<Contact>, Problem> {
    let request = BanContactRequest { contact_id: contact.to_string() };
    Ok(Contact::reply(acting.contacts().ban_contact(request).await?.into_inner()))
}

/// Lifts the ban of a contact and its addresses.
#[utoipa::path(delete, path = "/v1/contacts/{contact_id}/ban", tag = "contacts",
    params(("contact_id" = String, Path, description = "The contact's id.", example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Contact)),
    extensions(("x-lethe-rpc" = json!("UnbanContact"))))]
pub(crate) async fn unban_contact(
    acting: Acting,
    Id(contact): Id<ContactId>,
    _body: NoBody,
) -> Result<Reply<Contact>, Problem> {
    let request = UnbanContactRequest { contact_id: contact.to_string() };
    Ok(Contact::reply(acting.contacts().unban_contact(request).await?.into_inner()))
}

/// Whether spam is looked for.
#[derive(Serialize, ToSchema)]
pub(crate) struct SpamSettings {
    /// Inbound messages are looked at (repeated texts, many links, bursts), and their conversations marked.
    detect: bool,
    version: u64,
}

impl SpamSettings {
    fn reply(settings: &proto::SpamSettings) -> Reply<Self> {
        Reply::ok(Self { detect: settings.detect, version: settings.version }).with_version(settings.version)
    }
}

/// Shows whether spam is looked for.
#[utoipa::path(get, path = "/v1/spam-settings", tag = "conversations",
    responses((status = 200, body = SpamSettings)),
    extensions(("x-lethe-rpc" = json!("GetSpamSettings"))))]
pub(crate) async fn get_spam_settings(acting: Acting) -> Result<Reply<SpamSettings>, Problem> {
    let answer = acting.conversations().get_spam_settings(GetSpamSettingsRequest {}).await?;
    Ok(SpamSettings::reply(answer.get_ref()))
}

/// What is changed of it; absent fields stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"detect": true}))]
pub(crate) struct SpamSettingsChange {
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    detect: Option<bool>,
}

/// Switches the detector on or off.
#[utoipa::path(patch, path = "/v1/spam-settings", tag = "conversations", params(IfMatch),
    responses((status = 200, body = SpamSettings)),
    extensions(("x-lethe-rpc" = json!("UpdateSpamSettings"))))]
pub(crate) async fn update_spam_settings(
    acting: Acting,
    IfMatch(if_version): IfMatch,
    Json(body): Json<SpamSettingsChange>,
) -> Result<Reply<SpamSettings>, Problem> {
    let request = UpdateSpamSettingsRequest { detect: body.detect, if_version };
    let answer = acting.conversations().update_spam_settings(request).await?;
    Ok(SpamSettings::reply(answer.get_ref()))
}
