//! ConfirmErasure: the token says that a person saw the counts. Lays out the steps and makes the erasure due.

use lethe_proto::retention::{ConfirmErasureRequest, Erasure};
use lethe_service::id;

use super::{Api, Asking, encode, request_erasure::counts_of};
use crate::{
    domain::{ConfirmationError, State},
    error::Error,
    store,
};

pub(super) async fn confirm_erasure(
    api: &Api,
    asking: &Asking,
    request: ConfirmErasureRequest,
) -> Result<Erasure, Error> {
    let erasure_id = id("erasure_id", &request.erasure_id)?;
    let now = api.clock().now();
    let mut tx = api.db().tenant(asking.tenant).await?;
    let row = store::lock(&mut tx, erasure_id).await?.ok_or(Error::ErasureNotFound)?;
    if row.state == State::Cancelled {
        return Err(Error::ErasureCancelled);
    }
    let participants = store::participants(&mut tx, erasure_id).await?;
    let checked =
        row.confirmation.check(&request.confirmation_token, erasure_id, &counts_of(&participants), now);
    match checked {
        // It was confirmed with this token, in time: the answer got lost.
        Ok(()) | Err(ConfirmationError::Expired) if row.state.is_confirmed() => {
            return encode::erasure(&mut tx, &row, now).await;
        }
        checked => checked?,
    }
    store::confirm(&mut tx, erasure_id, asking.actor, now).await?;
    store::plan(&mut tx, erasure_id, participants.len()).await?;
    api.saga.announce(&mut tx, erasure_id, State::Confirmed, row.version + 1).await?;
    api.audit(&mut tx, asking, "ConfirmErasure", erasure_id).await?;
    let row = store::get(&mut tx, erasure_id).await?.ok_or(Error::Damaged)?;
    let erasure = encode::erasure(&mut tx, &row, now).await?;
    tx.commit().await?;
    api.saga.outbox.wake();
    api.due.notify_one();
    Ok(erasure)
}
