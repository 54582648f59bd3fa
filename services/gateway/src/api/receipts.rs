//! Delivery states and read receipts: how far what was said has come.

use lethe_ids::{ConversationId, MessageId};
use lethe_proto::messaging::{
    self as proto, MarkReadRequest, RecordDeliveryRequest, RecordReadReceiptRequest,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{conversations::Conversation, messages::Message};
use crate::{
    body::{Json, Reply},
    json::{Text, wire_enum},
    path::Id,
    problem::Problem,
    session::Acting,
};

wire_enum! {
    /// How far an outbound message has come.
    DeliveryState is proto::DeliveryState {
        /// Accepted here.
        Queued = "queued",
        /// The provider has it.
        Sent = "sent",
        /// It arrived.
        Delivered = "delivered",
        /// The contact has read it.
        Read = "read",
        /// It will not arrive.
        Failed = "failed",
    }
}

/// Up to which message.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"message_id": "msg_01998f2ac3e47b0f8a5d2f60b1c9e7aa"}))]
pub(crate) struct ReadUpTo {
    /// Of this conversation.
    #[schema(value_type = String)]
    message_id: MessageId,
}

/// Notes that a member has read a conversation, up to a message.
#[utoipa::path(put, path = "/v1/conversations/{conversation_id}/read", tag = "conversations",
    params(("conversation_id" = String, Path, description = "The conversation's id.", example = "cnv_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Conversation)),
    extensions(("x-lethe-rpc" = json!("MarkRead"))))]
pub(crate) async fn mark_read(
    acting: Acting,
    Id(conversation): Id<ConversationId>,
    Json(body): Json<ReadUpTo>,
) -> Result<Reply<Conversation>, Problem> {
    let request = MarkReadRequest {
        conversation_id: conversation.to_string(),
        message_id: body.message_id.to_string(),
    };
    Ok(Conversation::reply(acting.conversations().mark_read(request).await?.into_inner()))
}

/// Notes that the contact has read what was sent to it, up to a message.
#[utoipa::path(put, path = "/v1/conversations/{conversation_id}/read-receipt", tag = "conversations",
    params(("conversation_id" = String, Path, description = "The conversation's id.", example = "cnv_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Conversation)),
    extensions(("x-lethe-rpc" = json!("RecordReadReceipt"))))]
pub(crate) async fn record_read_receipt(
    acting: Acting,
    Id(conversation): Id<ConversationId>,
    Json(body): Json<ReadUpTo>,
) -> Result<Reply<Conversation>, Problem> {
    let request = RecordReadReceiptRequest {
        conversation_id: conversation.to_string(),
        message_id: body.message_id.to_string(),
    };
    Ok(Conversation::reply(acting.conversations().record_read_receipt(request).await?.into_inner()))
}

/// What the provider tells.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"state": "delivered"}))]
pub(crate) struct Delivery {
    state: DeliveryState,
    /// Of what failed: a code of the provider's.
    #[serde(default)]
    #[schema(value_type = Option<String>, nullable = false, max_length = 64, pattern = "^[a-z0-9_]+$")]
    failure: Option<Text>,
}

/// Records how far an outbound message has come. It only goes forward: what comes late or twice changes nothing.
#[utoipa::path(put, path = "/v1/messages/{message_id}/delivery", tag = "messages",
    params(("message_id" = String, Path, description = "The message's id.", example = "msg_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Message)),
    extensions(("x-lethe-rpc" = json!("RecordDelivery"))))]
pub(crate) async fn record_delivery(
    acting: Acting,
    Id(message): Id<MessageId>,
    Json(body): Json<Delivery>,
) -> Result<Reply<Message>, Problem> {
    let request = RecordDeliveryRequest {
        message_id: message.to_string(),
        state: body.state.proto().into(),
        failure: body.failure.unwrap_or_default().0,
    };
    let message = acting.messages().record_delivery(request).await?.into_inner();
    let version = message.version;
    Ok(Reply::ok(Message::from(message)).with_version(version))
}
