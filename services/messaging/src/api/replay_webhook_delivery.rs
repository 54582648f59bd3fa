//! ReplayWebhookDelivery: begins a delivery anew under its old id, so that a receiver which has it knows it again.

use lethe_ids::WebhookDeliveryId;
use lethe_proto::messaging::{ReplayWebhookDeliveryRequest, WebhookDelivery};
use lethe_service::id;
use tonic::Request;

use super::list_webhook_deliveries::read;
use crate::{
    error::Error,
    state::{Call, State},
    store::{head, webhook_delivery, webhook_endpoint, webhook_turn},
};

pub(super) async fn replay_webhook_delivery(
    state: &State,
    request: Request<ReplayWebhookDeliveryRequest>,
) -> Result<WebhookDelivery, Error> {
    let call = Call::of(&request)?;
    let delivery: WebhookDeliveryId = id("delivery_id", &request.get_ref().delivery_id)?;
    let mut tx = state.tx(call.tenant).await?;
    let gone = || Error::NotFound("webhook_delivery");
    let row = webhook_delivery::find(&mut tx, delivery).await?.ok_or_else(gone)?;
    let about = row.about();
    if let Some(contact) = about.contact
        && head::holds_off_fence(&mut tx, contact, about.conversation).await?.is_none()
    {
        return Err(gone());
    }
    webhook_endpoint::lock(&mut tx, row.endpoint()).await?.ok_or_else(gone)?;
    let at = state.clock.now();
    if !webhook_delivery::replay(&mut tx, delivery, at, state.config.webhooks.settled_after()).await? {
        return Err(Error::BeingErased);
    }
    webhook_turn::settle_due(&mut tx, row.endpoint(), at).await?;
    let target = delivery.to_string();
    state.audit_setting(&mut tx, &call, "ReplayWebhookDelivery", ("webhook_delivery", &target)).await?;
    let answer = read(&mut tx, delivery).await?;
    state.commit(tx).await?;
    state.queued.notify_one();
    Ok(answer)
}
