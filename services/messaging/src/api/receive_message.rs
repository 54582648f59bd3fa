//! ReceiveMessage: inbound, from the contact. One who is restricted may still write. STOP and START are obeyed in the
//! same transaction.

use lethe_proto::messaging::{AcceptedMessage, Direction, ReceiveMessageRequest};
use lethe_service::id;
use tonic::Request;

use crate::{
    domain::text::MessageText,
    error::Error,
    state::{Call, State},
    submit::Draft,
};

pub(super) async fn receive_message(
    state: &State,
    request: Request<ReceiveMessageRequest>,
) -> Result<AcceptedMessage, Error> {
    let call = Call::of(&request)?;
    let mut request = request.into_inner();
    let key = request.idempotency.take();
    let once = state.once(call.tenant, "ReceiveMessage", key, &request).await?;
    let conversation = id("conversation_id", &request.conversation_id)?;
    let text = MessageText::new(request.text)?;
    let draft = Draft { call, conversation, direction: Direction::Inbound, text, once };
    state.submit(draft).await
}
