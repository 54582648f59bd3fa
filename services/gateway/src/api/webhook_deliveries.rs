//! Deliveries: events on their way to webhook endpoints, and how they were answered.

use lethe_ids::{WebhookDeliveryId, WebhookEndpointId};
use lethe_proto::messaging::{self as proto, ListWebhookDeliveriesRequest, ReplayWebhookDeliveryRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::webhook_endpoints::WebhookEventType;
use crate::{
    body::{NoBody, Reply},
    json::{PageLimit, Text, instant, present, wire_enum},
    path::Id,
    problem::Problem,
    query::Query,
    session::Acting,
};

wire_enum! {
    /// How far it is.
    WebhookDeliveryState is proto::WebhookDeliveryState {
        /// Waits for its next attempt.
        Pending = "pending",
        /// Answered with 2xx.
        Delivered = "delivered",
        /// Given up after three days, or by 410 Gone.
        Failed = "failed",
    }
}

/// One event on its way to one endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookDelivery {
    #[schema(example = "whd_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    delivery_id: String,
    #[schema(example = "whe_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    endpoint_id: String,
    /// The same on every attempt: the header `webhook-id`.
    #[schema(example = "evt_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    event_id: String,
    #[schema(value_type = WebhookEventType)]
    event_type: &'static str,
    #[schema(value_type = WebhookDeliveryState)]
    state: &'static str,
    attempts: u32,
    #[schema(value_type = String, format = DateTime)]
    created_at: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_attempt_at: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<String>,
    /// The status that the last attempt was answered with; `null` when there was no answer.
    last_status: Option<u32>,
    /// Why the last attempt failed; `null` when it did not.
    #[schema(example = "TIMED_OUT")]
    last_failure: Option<String>,
    /// Whom the event is about, if anyone.
    #[schema(example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    contact_id: Option<String>,
}

impl From<proto::WebhookDelivery> for WebhookDelivery {
    fn from(delivery: proto::WebhookDelivery) -> Self {
        Self {
            delivery_id: delivery.delivery_id,
            endpoint_id: delivery.endpoint_id,
            event_id: delivery.event_id,
            event_type: WebhookEventType::word(delivery.event_type),
            state: WebhookDeliveryState::word(delivery.state),
            attempts: delivery.attempts,
            created_at: instant(delivery.created_at),
            last_attempt_at: instant(delivery.last_attempt_at),
            next_attempt_at: instant(delivery.next_attempt_at),
            last_status: (delivery.last_status > 0).then_some(delivery.last_status),
            last_failure: present(delivery.last_failure),
            contact_id: present(delivery.contact_id),
        }
    }
}

/// Which deliveries.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichWebhookDeliveries {
    /// To this endpoint.
    #[param(value_type = Option<String>, example = "whe_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    endpoint_id: Option<WebhookEndpointId>,
    /// In this state.
    #[param(inline)]
    state: Option<WebhookDeliveryState>,
    /// Of this type.
    #[param(inline)]
    event_type: Option<WebhookEventType>,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: PageLimit,
    /// `next` of the page before; absent for the first page.
    #[param(value_type = Option<String>)]
    after: Option<Text>,
}

/// A page of deliveries.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookDeliveryPage {
    deliveries: Vec<WebhookDelivery>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists deliveries of the last 30 days, the newest first.
#[utoipa::path(get, path = "/v1/webhook-deliveries", tag = "webhooks", params(WhichWebhookDeliveries),
    responses((status = 200, body = WebhookDeliveryPage)),
    extensions(("x-lethe-rpc" = json!("ListWebhookDeliveries"))))]
pub(crate) async fn list_webhook_deliveries(
    acting: Acting,
    Query(query): Query<WhichWebhookDeliveries>,
) -> Result<Reply<WebhookDeliveryPage>, Problem> {
    let filters = format!("{:?}", (query.endpoint_id, query.state, query.event_type));
    let list = acting.list("ListWebhookDeliveries", &filters);
    let request = ListWebhookDeliveriesRequest {
        page: list.page(query.limit, query.after.as_ref().map(|after| after.0.as_str()))?,
        endpoint_id: query.endpoint_id.map(|endpoint| endpoint.to_string()).unwrap_or_default(),
        state: query.state.map_or(0, |state| state.proto().into()),
        event_type: query.event_type.map_or(0, |event_type| event_type.proto().into()),
    };
    let answer = acting.webhooks().list_webhook_deliveries(request).await?.into_inner();
    let next = list.next(&answer.next);
    let deliveries = answer.deliveries.into_iter().map(WebhookDelivery::from).collect();
    Ok(Reply::ok(WebhookDeliveryPage { deliveries, next }))
}

/// Begins a delivery anew, under its old `webhook-id`.
#[utoipa::path(post, path = "/v1/webhook-deliveries/{delivery_id}/replay", tag = "webhooks",
    params(("delivery_id" = String, Path, description = "The delivery's id.", example = "whd_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = WebhookDelivery)),
    extensions(("x-lethe-rpc" = json!("ReplayWebhookDelivery"))))]
pub(crate) async fn replay_webhook_delivery(
    acting: Acting,
    Id(delivery): Id<WebhookDeliveryId>,
    _body: NoBody,
) -> Result<Reply<WebhookDelivery>, Problem> {
    let request = ReplayWebhookDeliveryRequest { delivery_id: delivery.to_string() };
    let answer = acting.webhooks().replay_webhook_delivery(request).await?.into_inner();
    Ok(Reply::ok(answer.into()))
}
