//! Conversations: one contact, one channel, a thread of messages.

use lethe_ids::{ContactId, ConversationId, LabelId, MemberId};
use lethe_proto::messaging::{
    self as proto, GetConversationRequest, LabelIds, ListConversationsRequest, OpenConversationRequest,
    UpdateConversationRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    body::{Json, Reply},
    json::{Change, PageLimit, Switch, Text, given, instant, present, wire_enum},
    path::Id,
    precondition::{IdempotencyKey, IfMatch},
    problem::Problem,
    query::Query,
    session::Acting,
};

wire_enum! {
    /// Where a conversation takes place.
    Channel is proto::Channel {
        /// The widget on the tenant's pages.
        LiveChat = "live_chat",
        /// WhatsApp.
        Whatsapp = "whatsapp",
        /// E-mail.
        Email = "email",
        /// SMS.
        Sms = "sms",
    }
}

wire_enum! {
    /// Where a conversation stands.
    ConversationStatus is proto::ConversationStatus {
        /// Somebody waits for an answer.
        Open = "open",
        /// Done.
        Resolved = "resolved",
    }
}

/// A conversation.
#[derive(Serialize, ToSchema)]
pub(crate) struct Conversation {
    #[schema(example = "cnv_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    conversation_id: String,
    #[schema(example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    contact_id: String,
    #[schema(value_type = Channel)]
    channel: &'static str,
    #[schema(value_type = ConversationStatus)]
    status: &'static str,
    #[schema(example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    assigned_member_id: Option<String>,
    /// One that the list of labels does not have any more names nothing.
    label_ids: Vec<String>,
    /// In no list and no search that does not ask for it.
    spam: bool,
    /// The detector's, when it marked.
    #[schema(maximum = 100)]
    spam_score: u32,
    /// How often it was resolved.
    resolutions: u32,
    /// Inbound messages came that no member has read.
    unread: bool,
    /// When a member last read further.
    #[schema(value_type = Option<String>, format = DateTime)]
    read_at: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_message_at: Option<String>,
    version: u64,
    /// For `wait_for` of a search.
    seq: u64,
}

impl From<proto::Conversation> for Conversation {
    fn from(conversation: proto::Conversation) -> Self {
        Self {
            conversation_id: conversation.conversation_id,
            contact_id: conversation.contact_id,
            channel: Channel::word(conversation.channel),
            status: ConversationStatus::word(conversation.status),
            assigned_member_id: present(conversation.assigned_member_id),
            label_ids: conversation.label_ids,
            spam: conversation.spam,
            spam_score: conversation.spam_score,
            resolutions: conversation.resolutions,
            unread: conversation.unread,
            read_at: instant(conversation.read_at),
            created_at: instant(conversation.created_at),
            last_message_at: instant(conversation.last_message_at),
            version: conversation.version,
            seq: conversation.seq,
        }
    }
}

impl Conversation {
    /// With its entity tag.
    pub(super) fn reply(conversation: proto::Conversation) -> Reply<Self> {
        let version = conversation.version;
        Reply::ok(Self::from(conversation)).with_version(version)
    }
}

/// A new conversation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"contact_id": "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa", "channel": "live_chat"}))]
pub(crate) struct NewConversation {
    #[schema(value_type = String)]
    contact_id: ContactId,
    channel: Channel,
}

/// Opens a conversation with a contact.
#[utoipa::path(post, path = "/v1/conversations", tag = "conversations", params(IdempotencyKey),
    responses((status = 201, body = Conversation)),
    extensions(("x-lethe-rpc" = json!("OpenConversation"))))]
pub(crate) async fn open_conversation(
    acting: Acting,
    key: IdempotencyKey,
    Json(body): Json<NewConversation>,
) -> Result<Reply<Conversation>, Problem> {
    let request = OpenConversationRequest {
        contact_id: body.contact_id.to_string(),
        channel: body.channel.proto().into(),
        idempotency: key.idempotency(),
    };
    let conversation = acting.conversations().open_conversation(request).await?.into_inner();
    let location = format!("/v1/conversations/{}", conversation.conversation_id);
    let version = conversation.version;
    Ok(Reply::created(Conversation::from(conversation), location).with_version(version))
}

/// Which conversations.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichConversations {
    /// Of this contact.
    #[param(value_type = Option<String>, example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    contact_id: Option<ContactId>,
    /// With this status.
    #[param(inline)]
    status: Option<ConversationStatus>,
    /// With this label.
    #[param(value_type = Option<String>, example = "lbl_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    label_id: Option<LabelId>,
    /// `true`: spam alone; else all but spam.
    #[param(inline)]
    spam: Option<Switch>,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
    /// `next` of the page before; absent for the first page.
    #[param(value_type = Option<String>)]
    after: Option<Text>,
}

/// A page of conversations.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConversationPage {
    conversations: Vec<Conversation>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists conversations, the one with the newest message first.
#[utoipa::path(get, path = "/v1/conversations", tag = "conversations", params(WhichConversations),
    responses((status = 200, body = ConversationPage)),
    extensions(("x-lethe-rpc" = json!("ListConversations"))))]
pub(crate) async fn list_conversations(
    acting: Acting,
    Query(query): Query<WhichConversations>,
) -> Result<Reply<ConversationPage>, Problem> {
    let filters = format!("{:?}", (query.contact_id, query.status, query.label_id, query.spam));
    let list = acting.list("ListConversations", &filters);
    let request = ListConversationsRequest {
        contact_id: query.contact_id.map(|contact| contact.to_string()).unwrap_or_default(),
        status: query.status.map_or(0, |status| status.proto().into()),
        page: list.page(query.limit, query.after.as_ref().map(|after| after.0.as_str()))?,
        spam: query.spam.is_some_and(|Switch(spam)| spam),
        label_id: query.label_id.map(|label| label.to_string()).unwrap_or_default(),
    };
    let answer = acting.conversations().list_conversations(request).await?.into_inner();
    let next = list.next(&answer.next);
    let conversations = answer.conversations.into_iter().map(Conversation::from).collect();
    Ok(Reply::ok(ConversationPage { conversations, next }))
}

/// Shows a conversation.
#[utoipa::path(get, path = "/v1/conversations/{conversation_id}", tag = "conversations",
    params(("conversation_id" = String, Path, description = "The conversation's id.", example = "cnv_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Conversation)),
    extensions(("x-lethe-rpc" = json!("GetConversation"))))]
pub(crate) async fn get_conversation(
    acting: Acting,
    Id(conversation): Id<ConversationId>,
) -> Result<Reply<Conversation>, Problem> {
    let request = GetConversationRequest { conversation_id: conversation.to_string() };
    Ok(Conversation::reply(acting.conversations().get_conversation(request).await?.into_inner()))
}

/// What of a conversation is changed; absent fields stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"status": "resolved", "assigned_member_id": null}))]
pub(crate) struct ConversationChange {
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    status: Option<ConversationStatus>,
    /// An active member of the tenant; who has it keeps it. `null`: nobody.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    assigned_member_id: Change<MemberId>,
    /// All of them anew, of labels that there are.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>, nullable = false, max_items = 50)]
    label_ids: Option<Vec<LabelId>>,
}

/// Changes a conversation's status, its assigned member or its labels.
#[utoipa::path(patch, path = "/v1/conversations/{conversation_id}", tag = "conversations",
    params(("conversation_id" = String, Path, description = "The conversation's id.", example = "cnv_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), IfMatch),
    responses((status = 200, body = Conversation)),
    extensions(("x-lethe-rpc" = json!("UpdateConversation"))))]
pub(crate) async fn update_conversation(
    acting: Acting,
    Id(conversation): Id<ConversationId>,
    IfMatch(if_version): IfMatch,
    Json(body): Json<ConversationChange>,
) -> Result<Reply<Conversation>, Problem> {
    let request = UpdateConversationRequest {
        conversation_id: conversation.to_string(),
        status: body.status.map_or(0, |status| status.proto().into()),
        assigned_member_id: match body.assigned_member_id {
            Change::Keep => None,
            Change::Clear => Some(String::new()),
            Change::Set(member) => Some(member.to_string()),
        },
        if_version,
        label_ids: body
            .label_ids
            .map(|labels| LabelIds { values: labels.iter().map(LabelId::to_string).collect() }),
    };
    Ok(Conversation::reply(acting.conversations().update_conversation(request).await?.into_inner()))
}
