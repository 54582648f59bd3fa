//! `ListApiKeys`: the tenant's keys, newest first.

use lethe_proto::identity::{ListApiKeysRequest, ListApiKeysResponse};
use lethe_service::{Limit, PageKey, page};
use tonic::Request;

use super::{Call, Identity};
use crate::{Error, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<ListApiKeysRequest>,
) -> Result<ListApiKeysResponse, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let (limit, after) = (Limit::of(asked.page.as_ref())?, PageKey::of(asked.page.as_ref())?);
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let mut rows = store::api_key::list(&mut tx, after, limit).await?;
    drop(tx);
    let next = page::next(&mut rows, limit, |(row, _)| PageKey { at: row.created_at, id: row.id.uuid() });
    let mut api_keys = Vec::with_capacity(rows.len());
    for (row, last_used_at) in &rows {
        api_keys.push(identity.api_key(call.tenant(), row, *last_used_at).await?);
    }
    Ok(ListApiKeysResponse { api_keys, next })
}
