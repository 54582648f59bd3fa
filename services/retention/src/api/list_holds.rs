//! ListHolds: newest first, those that are over too.

use lethe_proto::retention::{ListHoldsRequest, ListHoldsResponse};
use lethe_service::{Limit, PageKey, page};

use super::{Api, Asking, encode};
use crate::{error::Error, store};

pub(super) async fn list_holds(
    api: &Api,
    asking: &Asking,
    request: ListHoldsRequest,
) -> Result<ListHoldsResponse, Error> {
    let (after, limit) = (PageKey::of(request.page.as_ref())?, Limit::of(request.page.as_ref())?);
    let mut tx = api.db().tenant(asking.tenant).await?;
    let mut rows = store::list_holds(&mut tx, after, limit).await?;
    let next = page::next(&mut rows, limit, |row| PageKey { at: row.placed_at, id: row.id.uuid() });
    Ok(ListHoldsResponse { holds: rows.iter().map(encode::hold).collect(), next })
}
