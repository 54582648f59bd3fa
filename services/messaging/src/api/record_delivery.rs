//! RecordDelivery: how far an outbound message has come, as its provider tells. A report that comes late or twice changes
//! nothing.

use lethe_ids::MessageId;
use lethe_proto::messaging::{DeliveryState, Direction, Message, RecordDeliveryRequest};
use lethe_service::id;
use tonic::Request;

use crate::{
    domain::{
        channel::{Code, required},
        delivery::{advances, failure},
    },
    error::Error,
    state::{Call, State},
    store::{delivery, head, message},
};

pub(super) async fn record_delivery(
    state: &State,
    request: Request<RecordDeliveryRequest>,
) -> Result<Message, Error> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let id: MessageId = id("message_id", &request.message_id)?;
    let to: DeliveryState = required("state", request.state)?;
    let failure = failure(to, &request.failure)?;
    let mut tx = state.tx(call.tenant).await?;
    let none = || Error::NotFound("message");
    let found = message::find(&mut tx, id).await?.ok_or_else(none)?;
    let contact = found.contact();
    head::require_for(&mut tx, contact, found.conversation(), "message").await?;
    let row = message::find(&mut tx, id).await?.ok_or_else(none)?;
    if row.direction != Direction::Outbound.number() {
        return Err(Error::Inbound);
    }
    if !advances(row.delivery_state(), to) {
        drop(tx);
        return state.open_message(call.tenant, row).await;
    }
    let seq = head::count_up(&mut tx, contact).await?;
    delivery::advance(&mut tx, id, to, failure, state.clock.now()).await?;
    let ids = (id, row.conversation(), contact);
    super::edit_message::changed(state, &mut tx, &call, "RecordDelivery", ids, seq).await?;
    let row = message::find(&mut tx, id).await?.ok_or_else(none)?;
    state.commit(tx).await?;
    state.open_message(call.tenant, row).await
}
