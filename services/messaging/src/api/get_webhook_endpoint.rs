//! GetWebhookEndpoint: a receiver, without its secret.

use lethe_ids::{TenantId, WebhookEndpointId};
use lethe_proto::messaging::{GetWebhookEndpointRequest, WebhookEndpoint};
use lethe_service::{id, timestamp};
use tonic::Request;

use crate::{
    domain::webhook::EndpointProfile,
    error::Error,
    state::{Call, State},
    store::{
        unsigned,
        webhook_endpoint::{self, EndpointRow},
    },
};

pub(super) async fn get_webhook_endpoint(
    state: &State,
    request: Request<GetWebhookEndpointRequest>,
) -> Result<WebhookEndpoint, Error> {
    let call = Call::of(&request)?;
    read(state, call.tenant, id("endpoint_id", &request.get_ref().endpoint_id)?).await
}

/// An endpoint as it is now.
pub(super) async fn read(
    state: &State,
    tenant: TenantId,
    endpoint: WebhookEndpointId,
) -> Result<WebhookEndpoint, Error> {
    let row = find(state, tenant, endpoint).await?;
    let profile = state.open_endpoint(tenant, &row).await?;
    Ok(encode(&row, profile))
}

/// Its row.
pub(super) async fn find(
    state: &State,
    tenant: TenantId,
    endpoint: WebhookEndpointId,
) -> Result<EndpointRow, Error> {
    let mut tx = state.tx(tenant).await?;
    webhook_endpoint::find(&mut tx, endpoint).await?.ok_or(Error::NotFound("webhook_endpoint"))
}

/// As it goes to a reader.
pub(super) fn encode(row: &EndpointRow, profile: EndpointProfile) -> WebhookEndpoint {
    WebhookEndpoint {
        endpoint_id: row.id().to_string(),
        url: profile.url,
        description: profile.description,
        event_types: row.event_types.iter().map(|number| i32::from(*number)).collect(),
        state: row.state.into(),
        failing_since: row.failing_since.map(timestamp),
        created_at: Some(timestamp(row.created_at)),
        updated_at: Some(timestamp(row.updated_at)),
        version: unsigned(row.version),
    }
}
