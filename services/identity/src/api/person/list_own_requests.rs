//! `ListOwnRequests`: what the member who asks has asked for, and what came of it.

use lethe_proto::identity::{ListOwnRequestsRequest, ListOwnRequestsResponse};
use lethe_service::{Limit, PageKey, page};
use tonic::Request;

use super::super::{Call, Identity};
use crate::{Error, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<ListOwnRequestsRequest>,
) -> Result<ListOwnRequestsResponse, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let (limit, after) = (Limit::of(asked.page.as_ref())?, PageKey::of(asked.page.as_ref())?);
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let mut rows = store::member_request::of_member(&mut tx, call.member()?, after, limit).await?;
    drop(tx);
    let next = page::next(&mut rows, limit, |row| PageKey { at: row.received_at, id: row.id.uuid() });
    Ok(ListOwnRequestsResponse {
        requests: super::member_requests(identity, call.tenant(), rows).await?,
        next,
    })
}
