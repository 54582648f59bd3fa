//! GetConversation.

use lethe_ids::{ConversationId, TenantId};
use lethe_proto::messaging::{Conversation, GetConversationRequest};
use lethe_service::{id, timestamp};
use tonic::Request;

use crate::{
    error::Error,
    state::{Call, State},
    store::{
        conversation::{self, ConversationRow},
        unsigned,
    },
};

pub(super) async fn get_conversation(
    state: &State,
    request: Request<GetConversationRequest>,
) -> Result<Conversation, Error> {
    let call = Call::of(&request)?;
    let conversation = id("conversation_id", &request.get_ref().conversation_id)?;
    read(state, call.tenant, conversation).await
}

/// The conversation as it is now.
pub(super) async fn read(
    state: &State,
    tenant: TenantId,
    conversation: ConversationId,
) -> Result<Conversation, Error> {
    let mut tx = state.tx(tenant).await?;
    let row = conversation::find(&mut tx, conversation).await?.ok_or(Error::NotFound("conversation"))?;
    Ok(encode(&row))
}

/// A conversation as it goes to a reader.
pub(super) fn encode(row: &ConversationRow) -> Conversation {
    Conversation {
        conversation_id: row.id().to_string(),
        contact_id: row.contact().to_string(),
        channel: row.channel.into(),
        status: row.status.into(),
        assigned_member_id: row.assigned().map(|member| member.to_string()).unwrap_or_default(),
        created_at: Some(timestamp(row.created_at)),
        last_message_at: row.last_message_at.map(timestamp),
        version: unsigned(row.version),
        seq: unsigned(row.seq),
        spam: row.is_spam(),
        spam_score: u32::from(row.spam_score.unsigned_abs()),
        resolutions: row.resolutions.unsigned_abs(),
        read_at: row.read_at.map(timestamp),
        unread: row.unread,
        label_ids: row.labels().iter().map(ToString::to_string).collect(),
    }
}
