//! GetMessage. A deleted one is there, without its text.

use lethe_proto::messaging::{GetMessageRequest, Message};
use lethe_service::id;
use tonic::Request;

use crate::{
    error::Error,
    state::{Call, State},
    store::message,
};

pub(super) async fn get_message(
    state: &State,
    request: Request<GetMessageRequest>,
) -> Result<Message, Error> {
    let call = Call::of(&request)?;
    let id = id("message_id", &request.get_ref().message_id)?;
    let mut tx = state.tx(call.tenant).await?;
    let row = message::find(&mut tx, id).await?.ok_or(Error::NotFound("message"))?;
    drop(tx);
    state.open_message(call.tenant, row).await
}
