//! ListWebhookDeliveries: what was sent to whom, how often it was tried, and how it was answered. The newest first.

use lethe_ids::WebhookDeliveryId;
use lethe_proto::messaging::{
    ListWebhookDeliveriesRequest, ListWebhookDeliveriesResponse, WebhookDelivery, WebhookDeliveryState,
    WebhookEventType,
};
use lethe_service::{Limit, PageKey, TenantTx, id, page, timestamp};
use tonic::Request;
use uuid::Uuid;

use crate::{
    domain::channel::{Code, optional},
    error::Error,
    state::{Call, State},
    store::webhook_delivery::{self, DeliveryRow, Filter},
};

pub(super) async fn list_webhook_deliveries(
    state: &State,
    request: Request<ListWebhookDeliveriesRequest>,
) -> Result<ListWebhookDeliveriesResponse, Error> {
    let call = Call::of(&request)?;
    let request = request.get_ref();
    let limit = Limit::of(request.page.as_ref())?;
    let before = PageKey::of(request.page.as_ref())?.map_or(Uuid::max(), |key| key.id);
    let endpoint = match request.endpoint_id.as_str() {
        "" => None,
        endpoint => Some(id("endpoint_id", endpoint)?),
    };
    let filter = Filter {
        endpoint,
        state: optional("state", request.state)?.map(WebhookDeliveryState::number),
        event_type: optional("event_type", request.event_type)?.map(WebhookEventType::number),
    };
    let mut tx = state.tx(call.tenant).await?;
    let mut rows = webhook_delivery::list(&mut tx, filter, before, limit.and_one()).await?;
    drop(tx);
    let next = page::next(&mut rows, limit, |row| PageKey { at: row.created_at, id: row.id().uuid() });
    Ok(ListWebhookDeliveriesResponse { deliveries: rows.iter().map(encode).collect(), next })
}

/// One delivery as it is in the transaction.
pub(super) async fn read(tx: &mut TenantTx, delivery: WebhookDeliveryId) -> Result<WebhookDelivery, Error> {
    let row = webhook_delivery::find(tx, delivery).await?.ok_or(Error::NotFound("webhook_delivery"))?;
    Ok(encode(&row))
}

fn encode(row: &DeliveryRow) -> WebhookDelivery {
    WebhookDelivery {
        delivery_id: row.id().to_string(),
        endpoint_id: row.endpoint().to_string(),
        event_id: row.event().to_string(),
        event_type: row.event_type.into(),
        state: row.state.into(),
        attempts: row.attempts.unsigned_abs(),
        created_at: Some(timestamp(row.created_at)),
        last_attempt_at: row.last_attempt_at.map(timestamp),
        next_attempt_at: row.next_attempt_at.map(timestamp),
        last_status: row.last_status.map_or(0, |status| u32::from(status.unsigned_abs())),
        last_failure: row.last_failure.clone().unwrap_or_default(),
        contact_id: row.about().contact.map(|contact| contact.to_string()).unwrap_or_default(),
    }
}
