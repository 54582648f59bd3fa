//! TestWebhookEndpoint: queues an event that says nothing, so that the tenant sees whether it arrives.

use lethe_ids::{ContactId, EventId, WebhookDeliveryId, WebhookEndpointId};
use lethe_proto::messaging::{TestWebhookEndpointRequest, WebhookDelivery, WebhookEventType};
use lethe_service::id;
use tonic::Request;

use super::list_webhook_deliveries::read;
use crate::{
    domain::webhook::About,
    error::Error,
    state::{Call, State},
    store::{idempotency, webhook_endpoint},
};

pub(super) async fn test_webhook_endpoint(
    state: &State,
    request: Request<TestWebhookEndpointRequest>,
) -> Result<WebhookDelivery, Error> {
    let call = Call::of(&request)?;
    let mut request = request.into_inner();
    let key = request.idempotency.take();
    let once = state.once(call.tenant, "TestWebhookEndpoint", key, &request).await?;
    let endpoint: WebhookEndpointId = id("endpoint_id", &request.endpoint_id)?;
    let at = state.clock.now();
    let mut tx = state.tx(call.tenant).await?;
    webhook_endpoint::lock(&mut tx, endpoint).await?.ok_or(Error::NotFound("webhook_endpoint"))?;
    if let Some(made) = state.made_before(&mut tx, once, "webhook_delivery").await? {
        return read(&mut tx, WebhookDeliveryId::new(made)).await;
    }
    let event = EventId::new(state.entropy.uuid7(&state.clock));
    let what = (event, WebhookEventType::WebhookTest, at);
    let delivery = state.queue_delivery(&mut tx, endpoint, what, &About::default()).await?;
    if let Some(once) = once {
        // The endpoint's lock keeps others with this key away.
        idempotency::insert(&mut tx, once, None::<ContactId>, delivery.uuid(), at).await?;
    }
    let target = endpoint.to_string();
    state.audit_setting(&mut tx, &call, "TestWebhookEndpoint", ("webhook_endpoint", &target)).await?;
    let answer = read(&mut tx, delivery).await?;
    state.commit(tx).await?;
    state.queued.notify_one();
    Ok(answer)
}
