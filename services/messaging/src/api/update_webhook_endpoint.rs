//! UpdateWebhookEndpoint: another path, description or choice of events; off and on. Its host stays: whoever was told of a
//! person must be found again when that person is erased (GDPR Art. 19).

use lethe_ids::WebhookEndpointId;
use lethe_proto::messaging::{UpdateWebhookEndpointRequest, WebhookEndpoint, WebhookEndpointState};
use lethe_service::id;
use tonic::Request;

use super::get_webhook_endpoint::{encode, find};
use crate::{
    domain::{
        Invalid,
        webhook::{EndpointProfile, ReceiverUrl, description, event_types},
    },
    error::Error,
    state::{Call, State},
    store::{
        unsigned,
        webhook_endpoint::{self, Change},
        webhook_turn,
    },
};

pub(super) async fn update_webhook_endpoint(
    state: &State,
    request: Request<UpdateWebhookEndpointRequest>,
) -> Result<WebhookEndpoint, Error> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let endpoint: WebhookEndpointId = id("endpoint_id", &request.endpoint_id)?;
    let before = find(state, call.tenant, endpoint).await?;
    if unsigned(before.version) != request.if_version {
        return Err(Error::VersionMismatch);
    }
    let mut profile = state.open_endpoint(call.tenant, &before).await?;
    if let Some(url) = &request.url {
        profile.url = moved(state, &profile, url)?;
    }
    if let Some(text) = request.description {
        profile.description = description(text)?;
    }
    let event_types: Vec<i16> = match request.event_types {
        Some(types) => event_types(&types.values)?.into_iter().map(|one| one as i16).collect(),
        None => before.event_types.clone(),
    };
    let enabled = WebhookEndpointState::Enabled as i16;
    let next = match request.enabled {
        Some(true) => enabled,
        // Off already, and why is known.
        Some(false) if before.state != enabled => before.state,
        Some(false) => WebhookEndpointState::Disabled as i16,
        None => before.state,
    };
    let version = before.sealed_version + 1;
    let sealed = state.seal_endpoint(call.tenant, (endpoint, before.unit()), version, &profile).await?;

    let mut tx = state.tx(call.tenant).await?;
    if webhook_endpoint::lock(&mut tx, endpoint).await? != Some(before.version) {
        return Err(Error::VersionMismatch);
    }
    let at = state.clock.now();
    let change = Change { profile: (&sealed, version), event_types: &event_types, state: next, at };
    webhook_endpoint::update(&mut tx, endpoint, &change).await?;
    webhook_turn::settle_due(&mut tx, endpoint, at).await?;
    let target = endpoint.to_string();
    state.audit_setting(&mut tx, &call, "UpdateWebhookEndpoint", ("webhook_endpoint", &target)).await?;
    let row = webhook_endpoint::find(&mut tx, endpoint).await?.ok_or(Error::Corrupt("webhook_endpoints"))?;
    state.commit(tx).await?;
    state.queued.notify_one();
    Ok(encode(&row, profile))
}

/// The new URL, on the host that the old one is on.
fn moved(state: &State, profile: &EndpointProfile, text: &str) -> Result<String, Error> {
    let new = ReceiverUrl::new(text, state.webhook_rules())?;
    if !new.is_beside(&profile.url) {
        let message = "must stay on its host and port: another receiver is another endpoint";
        return Err(Invalid::new("url", message).into());
    }
    Ok(new.url().to_string())
}
