//! DeleteWebhookEndpoint: it is gone at once, then its keys are destroyed, then its rows deleted. That it was told of
//! contacts stays known.

use lethe_ids::WebhookEndpointId;
use lethe_proto::messaging::{DeleteWebhookEndpointRequest, DeleteWebhookEndpointResponse};
use lethe_service::id;
use tonic::Request;

use crate::{
    error::Error,
    state::{Call, State},
    store::{unsigned, webhook_endpoint},
};

pub(super) async fn delete_webhook_endpoint(
    state: &State,
    request: Request<DeleteWebhookEndpointRequest>,
) -> Result<DeleteWebhookEndpointResponse, Error> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let endpoint: WebhookEndpointId = id("endpoint_id", &request.endpoint_id)?;
    let mut tx = state.tx(call.tenant).await?;
    let version =
        webhook_endpoint::lock(&mut tx, endpoint).await?.ok_or(Error::NotFound("webhook_endpoint"))?;
    if unsigned(version) != request.if_version {
        return Err(Error::VersionMismatch);
    }
    webhook_endpoint::begin_deletion(&mut tx, endpoint, state.clock.now()).await?;
    let target = endpoint.to_string();
    state.audit_setting(&mut tx, &call, "DeleteWebhookEndpoint", ("webhook_endpoint", &target)).await?;
    state.commit(tx).await?;
    if let Err(error) = state.finish_webhook_deletion(call.tenant, endpoint).await {
        tracing::warn!(%endpoint, %error, "a webhook endpoint's deletion was cut off: the job goes on with it");
    }
    Ok(DeleteWebhookEndpointResponse {})
}
