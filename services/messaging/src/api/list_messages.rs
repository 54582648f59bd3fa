//! ListMessages: of one conversation, in the order in which they were accepted.

use lethe_ids::ConversationId;
use lethe_proto::messaging::{ListMessagesRequest, ListMessagesResponse};
use lethe_service::{Limit, id};
use tonic::Request;

use super::cursor::{self, Position};
use crate::{
    error::Error,
    state::{Call, State},
    store::{conversation, message},
};

pub(super) async fn list_messages(
    state: &State,
    request: Request<ListMessagesRequest>,
) -> Result<ListMessagesResponse, Error> {
    let call = Call::of(&request)?;
    let conversation: ConversationId = id("conversation_id", &request.get_ref().conversation_id)?;
    let asked = request.get_ref().page.as_ref();
    let limit = Limit::of(asked)?;
    let after = match Position::of(asked)? {
        None => 0,
        Some(position) if position.id == conversation.uuid() => position.seq,
        Some(_) => return Err(cursor::not_a_cursor()),
    };
    let mut tx = state.tx(call.tenant).await?;
    let mut rows = message::list(&mut tx, conversation, after, limit.and_one()).await?;
    if rows.is_empty() {
        // An empty conversation, or none.
        conversation::find(&mut tx, conversation).await?.ok_or(Error::NotFound("conversation"))?;
    }
    drop(tx);
    let next =
        cursor::next(&mut rows, limit, |row| Position { id: conversation.uuid(), seq: row.accepted_seq });
    let messages = state.open_messages(call.tenant, &rows).await?;
    Ok(ListMessagesResponse { messages, next })
}
