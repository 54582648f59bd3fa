//! CreateWebhookEndpoint: a receiver of the tenant's events, and the secret that they are signed with.

use lethe_ids::{ContactId, SubjectId, UnitId, WebhookEndpointId};
use lethe_proto::messaging::{CreateWebhookEndpointRequest, WebhookEndpointWithSecret};
use tonic::Request;

use super::get_webhook_endpoint::{encode, read};
use crate::{
    domain::webhook::{EndpointProfile, ReceiverUrl, description, event_types},
    error::Error,
    state::{Call, State},
    store::{
        idempotency,
        webhook_endpoint::{self, NewEndpoint},
    },
};

pub(super) async fn create_webhook_endpoint(
    state: &State,
    request: Request<CreateWebhookEndpointRequest>,
) -> Result<WebhookEndpointWithSecret, Error> {
    let call = Call::of(&request)?;
    let tenant = call.tenant;
    let mut request = request.into_inner();
    let key = request.idempotency.take();
    let once = state.once(tenant, "CreateWebhookEndpoint", key, &request).await?;
    let url = ReceiverUrl::new(&request.url, state.webhook_rules())?;
    let types = event_types(&request.event_types)?;
    let profile =
        EndpointProfile { url: url.url().to_string(), description: description(request.description)? };

    let mut tx = state.tx(tenant).await?;
    let made = state.made_before(&mut tx, once, "webhook_endpoint").await?;
    drop(tx);
    if let Some(made) = made {
        return replay(state, &call, WebhookEndpointId::new(made)).await;
    }
    let most = i64::from(state.config.webhooks.most_endpoints);
    let endpoint = WebhookEndpointId::new(state.entropy.uuid7(&state.clock));
    let subject = SubjectId::new(endpoint.uuid());
    let (unit, secret_unit) = (UnitId::new(state.entropy.uuid4()), UnitId::new(state.entropy.uuid4()));
    state.create_secrets(tenant, Some(subject), &[unit, secret_unit], subject).await?;
    let sealed = state.seal_endpoint(tenant, (endpoint, unit), 1, &profile).await?;
    let (secret, sealed_secret) = state.make_signing_secret(tenant, endpoint, secret_unit).await?;
    let types: Vec<i16> = types.into_iter().map(|one| one as i16).collect();
    let at = state.clock.now();

    let mut tx = state.tx(tenant).await?;
    if webhook_endpoint::count_alone(&mut tx).await? >= most {
        return Err(Error::TooMany("webhook_endpoints"));
    }
    if let Some(once) = once
        && !idempotency::insert(&mut tx, once, None::<ContactId>, endpoint.uuid(), at).await?
    {
        let made = state.made_before(&mut tx, Some(once), "webhook_endpoint").await?;
        drop(tx);
        let made = WebhookEndpointId::new(made.ok_or(Error::Gone("webhook_endpoint"))?);
        return replay(state, &call, made).await;
    }
    let new = NewEndpoint { endpoint, unit, profile: &sealed, event_types: &types, at };
    webhook_endpoint::insert(&mut tx, &new).await?;
    webhook_endpoint::insert_secret(&mut tx, endpoint, (secret_unit, &sealed_secret), at).await?;
    let id = endpoint.to_string();
    state.audit_setting(&mut tx, &call, "CreateWebhookEndpoint", ("webhook_endpoint", &id)).await?;
    let row = webhook_endpoint::find(&mut tx, endpoint).await?.ok_or(Error::Corrupt("webhook_endpoints"))?;
    state.commit(tx).await?;
    Ok(WebhookEndpointWithSecret { endpoint: Some(encode(&row, profile)), secret: secret.text() })
}

/// The endpoint as it is now. Its secret was shown, and is not shown again.
async fn replay(
    state: &State,
    call: &Call,
    endpoint: WebhookEndpointId,
) -> Result<WebhookEndpointWithSecret, Error> {
    match read(state, call.tenant, endpoint).await {
        Ok(endpoint) => Ok(WebhookEndpointWithSecret { endpoint: Some(endpoint), secret: String::new() }),
        Err(Error::NotFound(noun)) => Err(Error::Gone(noun)),
        Err(error) => Err(error),
    }
}
