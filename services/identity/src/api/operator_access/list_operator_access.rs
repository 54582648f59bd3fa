//! `ListOperatorAccess`: everything that was ever asked for or granted, newest first.

use lethe_proto::identity::{ListOperatorAccessRequest, ListOperatorAccessResponse};
use lethe_service::{Limit, PageKey, page};
use tonic::Request;

use super::super::{Call, Identity};
use crate::{Error, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<ListOperatorAccessRequest>,
) -> Result<ListOperatorAccessResponse, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref();
    let (limit, after) = (Limit::of(asked.page.as_ref())?, PageKey::of(asked.page.as_ref())?);
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let mut rows = store::operator_access::list(&mut tx, after, limit).await?;
    let next = page::next(&mut rows, limit, |row| PageKey { at: row.requested_at, id: row.id.uuid() });
    let now = identity.0.clock.now();
    let accesses = rows.into_iter().map(|row| super::access(row, now)).collect();
    Ok(ListOperatorAccessResponse { accesses, next })
}
