//! ListWebhookEndpoints: the newest first.

use lethe_proto::messaging::{ListWebhookEndpointsRequest, ListWebhookEndpointsResponse};
use lethe_service::{Limit, PageKey, page};
use tonic::Request;
use uuid::Uuid;

use super::get_webhook_endpoint::encode;
use crate::{
    error::Error,
    state::{Call, State},
    store::webhook_endpoint,
};

pub(super) async fn list_webhook_endpoints(
    state: &State,
    request: Request<ListWebhookEndpointsRequest>,
) -> Result<ListWebhookEndpointsResponse, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref().page.as_ref();
    let limit = Limit::of(asked)?;
    let before = PageKey::of(asked)?.map_or(Uuid::max(), |key| key.id);
    let mut tx = state.tx(call.tenant).await?;
    let mut rows = webhook_endpoint::list(&mut tx, before, limit.and_one()).await?;
    drop(tx);
    let next = page::next(&mut rows, limit, |row| PageKey { at: row.created_at, id: row.id().uuid() });
    let mut endpoints = Vec::with_capacity(rows.len());
    for row in &rows {
        match state.open_endpoint(call.tenant, row).await {
            Ok(profile) => endpoints.push(encode(row, profile)),
            // Deleted since.
            Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ListWebhookEndpointsResponse { endpoints, next })
}
