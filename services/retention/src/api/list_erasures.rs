//! ListErasures: newest first, all or those in one state.

use lethe_proto::retention::{ErasureState, ListErasuresRequest, ListErasuresResponse};
use lethe_service::{Failure, Limit, PageKey, page};

use super::{Api, Asking, encode};
use crate::{
    error::Error,
    store::{self, Requested},
};

pub(super) async fn list_erasures(
    api: &Api,
    asking: &Asking,
    request: ListErasuresRequest,
) -> Result<ListErasuresResponse, Error> {
    let state = ErasureState::try_from(request.state)
        .map_err(|_| Failure::invalid("state", "is no state of an erasure"))?;
    let requested = Requested {
        state: encode::state_of_wire(state),
        after: PageKey::of(request.page.as_ref())?,
        limit: Limit::of(request.page.as_ref())?,
    };
    let mut tx = api.db().tenant(asking.tenant).await?;
    let mut rows = store::list(&mut tx, requested).await?;
    let next =
        page::next(&mut rows, requested.limit, |row| PageKey { at: row.requested_at, id: row.id.uuid() });
    let now = api.clock().now();
    let mut erasures = Vec::with_capacity(rows.len());
    for row in &rows {
        erasures.push(encode::erasure(&mut tx, row, now).await?);
    }
    Ok(ListErasuresResponse { erasures, next })
}
