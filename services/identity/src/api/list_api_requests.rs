//! `ListApiRequests`: what keys asked, newest first.

use lethe_ids::ApiKeyId;
use lethe_proto::identity::{ApiRequest, ListApiRequestsRequest, ListApiRequestsResponse};
use lethe_service::{Limit, PageKey, id, instant, page, timestamp};
use tonic::Request;

use super::{Call, Identity};
use crate::{Error, store, store::api_request::Filter};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<ListApiRequestsRequest>,
) -> Result<ListApiRequestsResponse, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let (limit, after) = (Limit::of(asked.page.as_ref())?, PageKey::of(asked.page.as_ref())?);
    let key: Option<ApiKeyId> = match asked.api_key_id.as_str() {
        "" => None,
        key => Some(id("api_key_id", key)?),
    };
    let filter = Filter {
        key,
        from: asked.from.as_ref().map(|at| instant(at, "from")).transpose()?,
        until: asked.until.as_ref().map(|at| instant(at, "until")).transpose()?,
    };
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    if let Some(key) = key
        && store::api_key::get(&mut tx, key).await?.is_none()
    {
        return Err(Error::NotFound("api key"));
    }
    let mut rows = store::api_request::list(&mut tx, filter, after, limit).await?;
    drop(tx);
    let next = page::next(&mut rows, limit, |row| PageKey { at: row.at, id: row.id });
    let requests = rows.into_iter().map(|row| ApiRequest {
        request_id: row.id.simple().to_string(),
        api_key_id: row.key.to_string(),
        at: Some(timestamp(row.at)),
        method: row.method,
        route: row.route,
        rpc: row.rpc,
        status: u32::from(row.status.unsigned_abs()),
        missed: row.missed.unsigned_abs(),
    });
    Ok(ListApiRequestsResponse { requests: requests.collect(), next })
}
