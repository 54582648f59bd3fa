//! CancelErasure: possible until the fence. Once the point of no return is passed some store may already refuse writers, and
//! there is no way back that nobody would notice.

use lethe_proto::retention::{CancelErasureRequest, Erasure};
use lethe_service::id;

use super::{Api, Asking, encode};
use crate::{domain::State, error::Error, store};

pub(super) async fn cancel_erasure(
    api: &Api,
    asking: &Asking,
    request: CancelErasureRequest,
) -> Result<Erasure, Error> {
    let erasure_id = id("erasure_id", &request.erasure_id)?;
    let now = api.clock().now();
    let mut tx = api.db().tenant(asking.tenant).await?;
    let row = store::lock(&mut tx, erasure_id).await?.ok_or(Error::ErasureNotFound)?;
    match row.state {
        State::Cancelled => return encode::erasure(&mut tx, &row, now).await,
        State::Requested | State::Confirmed if row.fencing_at.is_none() => {}
        _ => return Err(Error::ErasureFenced),
    }
    store::cancel(&mut tx, erasure_id, asking.actor, now).await?;
    api.saga.announce(&mut tx, erasure_id, State::Cancelled, row.version + 1).await?;
    api.audit(&mut tx, asking, "CancelErasure", erasure_id).await?;
    let row = store::get(&mut tx, erasure_id).await?.ok_or(Error::Damaged)?;
    let erasure = encode::erasure(&mut tx, &row, now).await?;
    tx.commit().await?;
    api.saga.outbox.wake();
    Ok(erasure)
}
