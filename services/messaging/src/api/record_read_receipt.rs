//! RecordReadReceipt: the contact has read what was sent to it, up to a message. What failed stays failed.

use lethe_ids::{ConversationId, MessageId};
use lethe_proto::messaging::{Conversation, RecordReadReceiptRequest};
use lethe_service::id;
use tonic::Request;

use crate::{
    error::Error,
    state::{Call, State},
    store::{delivery, head, message},
};

pub(super) async fn record_read_receipt(
    state: &State,
    request: Request<RecordReadReceiptRequest>,
) -> Result<Conversation, Error> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let conversation: ConversationId = id("conversation_id", &request.conversation_id)?;
    let upto: MessageId = id("message_id", &request.message_id)?;
    let mut tx = state.tx(call.tenant).await?;
    let row = message::find(&mut tx, upto).await?.ok_or(Error::NotFound("message"))?;
    if row.conversation() != conversation {
        return Err(Error::NotFound("message"));
    }
    head::require_for(&mut tx, row.contact(), conversation, "message").await?;
    if delivery::read_by_contact(&mut tx, conversation, row.accepted_seq, state.clock.now()).await? > 0 {
        let seq = head::count_up(&mut tx, row.contact()).await?;
        let ids = (conversation, row.contact());
        super::open_conversation::changed(state, &mut tx, &call, "RecordReadReceipt", ids, seq).await?;
        state.commit(tx).await?;
    } else {
        drop(tx);
    }
    super::get_conversation::read(state, call.tenant, conversation).await
}
