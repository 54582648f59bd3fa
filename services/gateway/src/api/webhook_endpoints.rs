//! Webhook endpoints: where the tenant hears of its events.

use http::StatusCode;
use lethe_ids::WebhookEndpointId;
use lethe_proto::messaging::{
    self as proto, CreateWebhookEndpointRequest, DeleteWebhookEndpointRequest, GetWebhookEndpointRequest,
    ListWebhookEndpointsRequest, RotateWebhookSecretRequest, TestWebhookEndpointRequest,
    UpdateWebhookEndpointRequest, WebhookEventTypes,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{page::Page, webhook_deliveries::WebhookDelivery};
use crate::{
    body::{Json, NoBody, Reply},
    json::{Text, given, instant, present, wire_enum},
    path::Id,
    precondition::{IdempotencyKey, IfMatch},
    problem::Problem,
    query::Query,
    session::Acting,
};

wire_enum! {
    /// What happened.
    WebhookEventType is proto::WebhookEventType {
        /// A contact was made or changed, or is gone.
        ContactChanged = "contact.changed",
        /// A conversation was opened or changed, or is gone.
        ConversationChanged = "conversation.changed",
        /// A message was accepted, edited or deleted.
        MessageChanged = "message.changed",
        /// An erasure moved to another state.
        ErasureAdvanced = "erasure.advanced",
        /// A person was erased whose events were sent to the endpoint (GDPR Art. 19). Sent whether it was asked for or not.
        ContactErased = "contact.erased",
        /// Conversations of a person were erased whose events were sent to the endpoint (GDPR Art. 19): `conversation_id`, and
        /// `other_conversation_ids` where there were several. Sent whether it was asked for or not.
        ConversationErased = "conversation.erased",
        /// Asked for by hand.
        WebhookTest = "webhook.test",
    }
}

wire_enum! {
    /// Whether events are sent, and if not, why.
    WebhookEndpointState is proto::WebhookEndpointState {
        /// Events are sent.
        Enabled = "enabled",
        /// Switched off by a member.
        Disabled = "disabled",
        /// Switched off: nothing arrived for three days.
        Failing = "failing",
        /// Switched off: it answered 410 Gone.
        Gone = "gone",
        /// Switched off: more waits for it than may.
        Overflowing = "overflowing",
    }
}

/// Where the tenant hears of its events.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookEndpoint {
    #[schema(example = "whe_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    endpoint_id: String,
    #[schema(example = "https://hooks.example.org/lethe")]
    url: String,
    description: String,
    #[schema(value_type = Vec<WebhookEventType>)]
    event_types: Vec<&'static str>,
    #[schema(value_type = WebhookEndpointState)]
    state: &'static str,
    /// Since when nothing arrives; `null` when the last delivery did.
    #[schema(value_type = Option<String>, format = DateTime)]
    failing_since: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Option<String>,
    version: u64,
}

impl From<proto::WebhookEndpoint> for WebhookEndpoint {
    fn from(endpoint: proto::WebhookEndpoint) -> Self {
        Self {
            endpoint_id: endpoint.endpoint_id,
            url: endpoint.url,
            description: endpoint.description,
            event_types: endpoint.event_types.iter().map(|one| WebhookEventType::word(*one)).collect(),
            state: WebhookEndpointState::word(endpoint.state),
            failing_since: instant(endpoint.failing_since),
            created_at: instant(endpoint.created_at),
            updated_at: instant(endpoint.updated_at),
            version: endpoint.version,
        }
    }
}

impl WebhookEndpoint {
    fn reply(endpoint: proto::WebhookEndpoint) -> Reply<Self> {
        let version = endpoint.version;
        Reply::ok(Self::from(endpoint)).with_version(version)
    }
}

/// A new endpoint.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"url": "https://hooks.example.org/lethe", "event_types": ["message.changed"], "description": "CRM"}))]
pub(crate) struct NewWebhookEndpoint {
    /// https, at most 2,048 characters, without user, password and fragment; not in a private network.
    #[schema(value_type = String)]
    url: Text,
    /// At least one; not `contact.erased`, `conversation.erased` and `webhook.test`, which are sent without being asked for.
    event_types: Vec<WebhookEventType>,
    /// At most 200 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>, nullable = false)]
    description: Option<Text>,
}

/// An endpoint with its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookEndpointWithSecret {
    endpoint: WebhookEndpoint,
    /// Signs deliveries by Standard Webhooks. Shown once; `null` in a replay.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD12345678901=")]
    secret: Option<String>,
}

fn with_secret(answer: proto::WebhookEndpointWithSecret) -> Result<WebhookEndpointWithSecret, Problem> {
    let endpoint = answer.endpoint.ok_or_else(|| Problem::internal("messaging answered no endpoint"))?;
    Ok(WebhookEndpointWithSecret { endpoint: endpoint.into(), secret: present(answer.secret) })
}

fn protos(types: &[WebhookEventType]) -> Vec<i32> {
    types.iter().map(|one| one.proto().into()).collect()
}

/// Creates an endpoint. Deliveries follow Standard Webhooks; their bodies hold ids, never texts or names.
#[utoipa::path(post, path = "/v1/webhook-endpoints", tag = "webhooks", params(IdempotencyKey),
    responses((status = 201, body = WebhookEndpointWithSecret, headers(("ETag" = String, description = "The version, for `If-Match`.")))),
    extensions(("x-lethe-rpc" = json!("CreateWebhookEndpoint"))))]
pub(crate) async fn create_webhook_endpoint(
    acting: Acting,
    key: IdempotencyKey,
    Json(body): Json<NewWebhookEndpoint>,
) -> Result<Reply<WebhookEndpointWithSecret>, Problem> {
    let request = CreateWebhookEndpointRequest {
        url: body.url.0,
        event_types: protos(&body.event_types),
        description: body.description.unwrap_or_default().0,
        idempotency: key.idempotency(),
    };
    let answer = with_secret(acting.webhooks().create_webhook_endpoint(request).await?.into_inner())?;
    let location = format!("/v1/webhook-endpoints/{}", answer.endpoint.endpoint_id);
    let version = answer.endpoint.version;
    Ok(Reply::created(answer, location).with_version(version))
}

/// A page of endpoints.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookEndpointPage {
    endpoints: Vec<WebhookEndpoint>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists endpoints, the newest first.
#[utoipa::path(get, path = "/v1/webhook-endpoints", tag = "webhooks", params(Page),
    responses((status = 200, body = WebhookEndpointPage)),
    extensions(("x-lethe-rpc" = json!("ListWebhookEndpoints"))))]
pub(crate) async fn list_webhook_endpoints(
    acting: Acting,
    Query(page): Query<Page>,
) -> Result<Reply<WebhookEndpointPage>, Problem> {
    let list = acting.list("ListWebhookEndpoints", "");
    let request = ListWebhookEndpointsRequest { page: list.page(page.limit, page.after())? };
    let answer = acting.webhooks().list_webhook_endpoints(request).await?.into_inner();
    let next = list.next(&answer.next);
    let endpoints = answer.endpoints.into_iter().map(WebhookEndpoint::from).collect();
    Ok(Reply::ok(WebhookEndpointPage { endpoints, next }))
}

/// Shows an endpoint.
#[utoipa::path(get, path = "/v1/webhook-endpoints/{endpoint_id}", tag = "webhooks",
    params(("endpoint_id" = String, Path, description = "The endpoint's id.", example = "whe_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = WebhookEndpoint)),
    extensions(("x-lethe-rpc" = json!("GetWebhookEndpoint"))))]
pub(crate) async fn get_webhook_endpoint(
    acting: Acting,
    Id(endpoint): Id<WebhookEndpointId>,
) -> Result<Reply<WebhookEndpoint>, Problem> {
    let request = GetWebhookEndpointRequest { endpoint_id: endpoint.to_string() };
    Ok(WebhookEndpoint::reply(acting.webhooks().get_webhook_endpoint(request).await?.into_inner()))
}

/// What of an endpoint is changed; absent fields stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"enabled": true}))]
pub(crate) struct WebhookEndpointChange {
    /// On the host and port that it is on: another receiver is another endpoint, so that an erasure is told to whom the person
    /// was.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false)]
    url: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false)]
    description: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    event_types: Option<Vec<WebhookEventType>>,
    /// Enabled again, what waits is sent.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    enabled: Option<bool>,
}

/// Changes an endpoint, or switches it off and on.
#[utoipa::path(patch, path = "/v1/webhook-endpoints/{endpoint_id}", tag = "webhooks",
    params(("endpoint_id" = String, Path, description = "The endpoint's id.", example = "whe_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), IfMatch),
    responses((status = 200, body = WebhookEndpoint)),
    extensions(("x-lethe-rpc" = json!("UpdateWebhookEndpoint"))))]
pub(crate) async fn update_webhook_endpoint(
    acting: Acting,
    Id(endpoint): Id<WebhookEndpointId>,
    IfMatch(if_version): IfMatch,
    Json(body): Json<WebhookEndpointChange>,
) -> Result<Reply<WebhookEndpoint>, Problem> {
    let request = UpdateWebhookEndpointRequest {
        endpoint_id: endpoint.to_string(),
        url: body.url.map(|url| url.0),
        description: body.description.map(|description| description.0),
        event_types: body.event_types.map(|types| WebhookEventTypes { values: protos(&types) }),
        enabled: body.enabled,
        if_version,
    };
    Ok(WebhookEndpoint::reply(acting.webhooks().update_webhook_endpoint(request).await?.into_inner()))
}

/// Deletes an endpoint: its secret is destroyed, and what was not delivered goes.
#[utoipa::path(delete, path = "/v1/webhook-endpoints/{endpoint_id}", tag = "webhooks",
    params(("endpoint_id" = String, Path, description = "The endpoint's id.", example = "whe_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), IfMatch),
    responses((status = 204, description = "The endpoint is gone.")),
    extensions(("x-lethe-rpc" = json!("DeleteWebhookEndpoint"))))]
pub(crate) async fn delete_webhook_endpoint(
    acting: Acting,
    Id(endpoint): Id<WebhookEndpointId>,
    IfMatch(if_version): IfMatch,
    _body: NoBody,
) -> Result<StatusCode, Problem> {
    let request = DeleteWebhookEndpointRequest { endpoint_id: endpoint.to_string(), if_version };
    acting.webhooks().delete_webhook_endpoint(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a new secret. The one before signs beside it for 24 hours.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint_id}/secret", tag = "webhooks",
    params(("endpoint_id" = String, Path, description = "The endpoint's id.", example = "whe_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), IfMatch),
    responses((status = 200, body = WebhookEndpointWithSecret, headers(("ETag" = String, description = "The version, for `If-Match`.")))),
    extensions(("x-lethe-rpc" = json!("RotateWebhookSecret"))))]
pub(crate) async fn rotate_webhook_secret(
    acting: Acting,
    Id(endpoint): Id<WebhookEndpointId>,
    IfMatch(if_version): IfMatch,
    _body: NoBody,
) -> Result<Reply<WebhookEndpointWithSecret>, Problem> {
    let request = RotateWebhookSecretRequest { endpoint_id: endpoint.to_string(), if_version };
    let answer = with_secret(acting.webhooks().rotate_webhook_secret(request).await?.into_inner())?;
    let version = answer.endpoint.version;
    Ok(Reply::ok(answer).with_version(version))
}

/// Queues an event `webhook.test`.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint_id}/test", tag = "webhooks",
    params(("endpoint_id" = String, Path, description = "The endpoint's id.", example = "whe_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), IdempotencyKey),
    responses((status = 201, body = WebhookDelivery)),
    extensions(("x-lethe-rpc" = json!("TestWebhookEndpoint"))))]
pub(crate) async fn test_webhook_endpoint(
    acting: Acting,
    Id(endpoint): Id<WebhookEndpointId>,
    key: IdempotencyKey,
    _body: NoBody,
) -> Result<Reply<WebhookDelivery>, Problem> {
    let request =
        TestWebhookEndpointRequest { endpoint_id: endpoint.to_string(), idempotency: key.idempotency() };
    let delivery = acting.webhooks().test_webhook_endpoint(request).await?.into_inner();
    let location = format!("/v1/webhook-deliveries?endpoint_id={endpoint}");
    Ok(Reply::created(delivery.into(), location))
}
