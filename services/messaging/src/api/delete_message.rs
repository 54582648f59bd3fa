//! DeleteMessage: the text goes at once, the row stays and says when. Deleting twice is deleting once. The secret is the
//! month's and stays, so copies of the ciphertext in old pages go with the backups.

use lethe_ids::MessageId;
use lethe_proto::messaging::{DeleteMessageRequest, Message};
use lethe_service::id;
use tonic::Request;

use crate::{
    error::Error,
    state::{Call, State},
    store::{head, hold, message},
};

pub(super) async fn delete_message(
    state: &State,
    request: Request<DeleteMessageRequest>,
) -> Result<Message, Error> {
    let call = Call::of(&request)?;
    let message: MessageId = id("message_id", &request.get_ref().message_id)?;
    let mut tx = state.tx(call.tenant).await?;
    let row = message::find(&mut tx, message).await?.ok_or(Error::NotFound("message"))?;
    let head = head::require_for(&mut tx, row.contact(), row.conversation(), "message").await?;
    // Restricted data are kept as they are (GDPR Art. 18(2)): whoever asked for that may need them as evidence.
    if head.restriction != 0 {
        return Err(Error::Restricted);
    }
    hold::refuse_if_held(&mut tx, row.contact(), row.conversation()).await?;
    let (_, deleted_at) = message::state(&mut tx, message).await?.ok_or(Error::NotFound("message"))?;
    if deleted_at.is_none() {
        let seq = head::count_up(&mut tx, row.contact()).await?;
        message::delete(&mut tx, message, seq, state.clock.now()).await?;
        let ids = (message, row.conversation(), row.contact());
        super::edit_message::changed(state, &mut tx, &call, "DeleteMessage", ids, seq).await?;
    }
    let row = message::find(&mut tx, message).await?.ok_or(Error::Corrupt("messages"))?;
    state.commit(tx).await?;
    state.open_message(call.tenant, row).await
}
