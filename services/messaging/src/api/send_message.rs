//! SendMessage: outbound, to the contact. Refused for one who opted out or is restricted.

use lethe_proto::messaging::{AcceptedMessage, Direction, SendMessageRequest};
use lethe_service::id;
use tonic::Request;

use crate::{
    domain::text::MessageText,
    error::Error,
    state::{Call, State},
    submit::Draft,
};

pub(super) async fn send_message(
    state: &State,
    request: Request<SendMessageRequest>,
) -> Result<AcceptedMessage, Error> {
    let call = Call::of(&request)?;
    let mut request = request.into_inner();
    let key = request.idempotency.take();
    let once = state.once(call.tenant, "SendMessage", key, &request).await?;
    let conversation = id("conversation_id", &request.conversation_id)?;
    let text = MessageText::new(request.text)?;
    let draft = Draft { call, conversation, direction: Direction::Outbound, text, once };
    state.submit(draft).await
}
