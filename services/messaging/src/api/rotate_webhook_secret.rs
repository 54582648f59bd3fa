//! RotateWebhookSecret: a new signing secret. The one before signs beside it for a day, so that the receiver can change over.

use std::time::Duration;

use lethe_ids::{SubjectId, UnitId, WebhookEndpointId};
use lethe_proto::messaging::{RotateWebhookSecretRequest, WebhookEndpointWithSecret};
use lethe_service::id;
use tonic::Request;

use super::get_webhook_endpoint::{encode, find};
use crate::{
    error::Error,
    state::{Call, State},
    store::{unsigned, webhook_endpoint},
};

pub(super) async fn rotate_webhook_secret(
    state: &State,
    request: Request<RotateWebhookSecretRequest>,
) -> Result<WebhookEndpointWithSecret, Error> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let endpoint: WebhookEndpointId = id("endpoint_id", &request.endpoint_id)?;
    let before = find(state, call.tenant, endpoint).await?;
    if unsigned(before.version) != request.if_version {
        return Err(Error::VersionMismatch);
    }
    let profile = state.open_endpoint(call.tenant, &before).await?;
    let unit = UnitId::new(state.entropy.uuid4());
    state.create_secrets(call.tenant, None, &[unit], SubjectId::new(endpoint.uuid())).await?;
    let (secret, sealed) = state.make_signing_secret(call.tenant, endpoint, unit).await?;

    let mut tx = state.tx(call.tenant).await?;
    if webhook_endpoint::lock(&mut tx, endpoint).await? != Some(before.version) {
        return Err(Error::VersionMismatch);
    }
    let at = state.clock.now();
    let hours = u64::from(state.config.webhooks.rotation_hours);
    webhook_endpoint::retire_secrets(&mut tx, endpoint, at, at + Duration::from_secs(hours * 3_600)).await?;
    webhook_endpoint::insert_secret(&mut tx, endpoint, (unit, &sealed), at).await?;
    webhook_endpoint::set_state(&mut tx, endpoint, before.state, at).await?;
    let target = endpoint.to_string();
    state.audit_setting(&mut tx, &call, "RotateWebhookSecret", ("webhook_endpoint", &target)).await?;
    let row = webhook_endpoint::find(&mut tx, endpoint).await?.ok_or(Error::Corrupt("webhook_endpoints"))?;
    state.commit(tx).await?;
    Ok(WebhookEndpointWithSecret { endpoint: Some(encode(&row, profile)), secret: secret.text() })
}
