//! Messages: in, out, read, edited, deleted. `POST …/messages` is the hottest path there is: the body is read once, and
//! nothing is looked up here.

use lethe_ids::{ConversationId, MessageId};
use lethe_proto::messaging::{
    self as proto, AcceptedMessage, DeleteMessageRequest, EditMessageRequest, GetMessageRequest,
    ListMessagesRequest, ReceiveMessageRequest, SendMessageRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{conversations::Channel, page::Page, receipts::DeliveryState};
use crate::{
    body::{Json, NoBody, Reply},
    json::{Text, instant, present, wire_enum},
    path::Id,
    precondition::{IdempotencyKey, IfMatch},
    problem::Problem,
    query::Query,
    session::Acting,
};

wire_enum! {
    /// Which way a message goes.
    Direction is proto::Direction {
        /// From the contact.
        Inbound = "inbound",
        /// To the contact.
        Outbound = "outbound",
    }
}

/// A message.
#[derive(Serialize, ToSchema)]
pub(crate) struct Message {
    #[schema(example = "msg_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    message_id: String,
    #[schema(example = "cnv_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    conversation_id: String,
    #[schema(example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    contact_id: String,
    #[schema(value_type = Channel)]
    channel: &'static str,
    #[schema(value_type = Direction)]
    direction: &'static str,
    /// Who wrote an outbound one.
    #[schema(example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    member_id: Option<String>,
    /// `null` once it is deleted.
    #[schema(example = "Your parcel left this morning.")]
    text: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Option<String>,
    /// How far an outbound one has come, and when; `null` of an inbound one.
    #[schema(value_type = Option<DeliveryState>)]
    delivery: Option<&'static str>,
    #[schema(value_type = Option<String>, format = DateTime)]
    sent_at: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    delivered_at: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    read_at: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    failed_at: Option<String>,
    /// Why it failed: a code of the provider's.
    failure: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    edited_at: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    deleted_at: Option<String>,
    /// Counts edits.
    version: u64,
    /// For `wait_for` of a search.
    seq: u64,
}

impl From<proto::Message> for Message {
    fn from(message: proto::Message) -> Self {
        Self {
            message_id: message.message_id,
            conversation_id: message.conversation_id,
            contact_id: message.contact_id,
            channel: Channel::word(message.channel),
            direction: Direction::word(message.direction),
            member_id: present(message.member_id),
            text: present(message.text),
            created_at: instant(message.created_at),
            delivery: (message.delivery != 0).then(|| DeliveryState::word(message.delivery)),
            sent_at: instant(message.sent_at),
            delivered_at: instant(message.delivered_at),
            read_at: instant(message.read_at),
            failed_at: instant(message.failed_at),
            failure: present(message.failure),
            edited_at: instant(message.edited_at),
            deleted_at: instant(message.deleted_at),
            version: message.version,
            seq: message.seq,
        }
    }
}

impl Message {
    fn reply(message: proto::Message) -> Reply<Self> {
        let version = message.version;
        Reply::ok(Self::from(message)).with_version(version)
    }

    /// The accepted message.
    fn accepted(answer: AcceptedMessage) -> Result<Reply<Self>, Problem> {
        let message = answer.message.ok_or_else(|| Problem::internal("messaging accepted no message"))?;
        let (location, version) = (format!("/v1/messages/{}", message.message_id), message.version);
        Ok(Reply::created(Self::from(message), location).with_version(version))
    }
}

/// What is said.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"text": "Your parcel left this morning."}))]
pub(crate) struct NewMessage {
    /// 1 to 16,384 characters, at most 64 KiB in UTF-8.
    #[schema(value_type = String, min_length = 1, max_length = 16384)]
    text: Text,
}

/// Sends a message to the contact.
///
/// Refused (409) for a contact who opted out (`CONTACT_OPTED_OUT`) or whose data is restricted (`CONTACT_RESTRICTED`).
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/messages", tag = "messages",
    params(("conversation_id" = String, Path, description = "The conversation's id.", example = "cnv_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), IdempotencyKey),
    responses((status = 201, body = Message, description = "Accepted; when the same key came before: the message as it is now.")),
    extensions(("x-lethe-rpc" = json!("SendMessage"))))]
pub(crate) async fn send_message(
    acting: Acting,
    Id(conversation): Id<ConversationId>,
    key: IdempotencyKey,
    Json(body): Json<NewMessage>,
) -> Result<Reply<Message>, Problem> {
    let request = SendMessageRequest {
        conversation_id: conversation.to_string(),
        text: body.text.0,
        idempotency: key.idempotency(),
    };
    Message::accepted(acting.messages().send_message(request).await?.into_inner())
}

/// Takes in a message from the contact.
///
/// STOP and START, in many languages, put the contact on the opt-out list and take it off, at once.
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/inbound-messages", tag = "messages",
    params(("conversation_id" = String, Path, description = "The conversation's id.", example = "cnv_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), IdempotencyKey),
    responses((status = 201, body = Message, description = "Accepted; when the same key came before: the message as it is now.")),
    extensions(("x-lethe-rpc" = json!("ReceiveMessage"))))]
pub(crate) async fn receive_message(
    acting: Acting,
    Id(conversation): Id<ConversationId>,
    key: IdempotencyKey,
    Json(body): Json<NewMessage>,
) -> Result<Reply<Message>, Problem> {
    let request = ReceiveMessageRequest {
        conversation_id: conversation.to_string(),
        text: body.text.0,
        idempotency: key.idempotency(),
    };
    Message::accepted(acting.messages().receive_message(request).await?.into_inner())
}

/// A page of messages.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessagePage {
    messages: Vec<Message>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists the messages of a conversation, oldest first.
#[utoipa::path(get, path = "/v1/conversations/{conversation_id}/messages", tag = "messages",
    params(("conversation_id" = String, Path, description = "The conversation's id.", example = "cnv_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), Page),
    responses((status = 200, body = MessagePage)),
    extensions(("x-lethe-rpc" = json!("ListMessages"))))]
pub(crate) async fn list_messages(
    acting: Acting,
    Id(conversation): Id<ConversationId>,
    Query(page): Query<Page>,
) -> Result<Reply<MessagePage>, Problem> {
    let conversation_id = conversation.to_string();
    let list = acting.list("ListMessages", &conversation_id);
    let page = list.page(page.limit, page.after())?;
    let request = ListMessagesRequest { conversation_id: conversation_id.clone(), page };
    let answer = acting.messages().list_messages(request).await?.into_inner();
    let next = list.next(&answer.next);
    Ok(Reply::ok(MessagePage { messages: answer.messages.into_iter().map(Message::from).collect(), next }))
}

/// Shows a message.
#[utoipa::path(get, path = "/v1/messages/{message_id}", tag = "messages",
    params(("message_id" = String, Path, description = "The message's id.", example = "msg_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Message)),
    extensions(("x-lethe-rpc" = json!("GetMessage"))))]
pub(crate) async fn get_message(
    acting: Acting,
    Id(message): Id<MessageId>,
) -> Result<Reply<Message>, Problem> {
    let request = GetMessageRequest { message_id: message.to_string() };
    Ok(Message::reply(acting.messages().get_message(request).await?.into_inner()))
}

/// Changes a message's text.
#[utoipa::path(patch, path = "/v1/messages/{message_id}", tag = "messages",
    params(("message_id" = String, Path, description = "The message's id.", example = "msg_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), IfMatch),
    responses((status = 200, body = Message)),
    extensions(("x-lethe-rpc" = json!("EditMessage"))))]
pub(crate) async fn edit_message(
    acting: Acting,
    Id(message): Id<MessageId>,
    IfMatch(if_version): IfMatch,
    Json(body): Json<NewMessage>,
) -> Result<Reply<Message>, Problem> {
    let request = EditMessageRequest { message_id: message.to_string(), text: body.text.0, if_version };
    Ok(Message::reply(acting.messages().edit_message(request).await?.into_inner()))
}

/// Deletes a message: its text goes at once, the message stays as deleted.
#[utoipa::path(delete, path = "/v1/messages/{message_id}", tag = "messages",
    params(("message_id" = String, Path, description = "The message's id.", example = "msg_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Message)),
    extensions(("x-lethe-rpc" = json!("DeleteMessage"))))]
pub(crate) async fn delete_message(
    acting: Acting,
    Id(message): Id<MessageId>,
    _body: NoBody,
) -> Result<Reply<Message>, Problem> {
    let request = DeleteMessageRequest { message_id: message.to_string() };
    Ok(Message::reply(acting.messages().delete_message(request).await?.into_inner()))
}
