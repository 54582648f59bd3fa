//! ReleaseHold: before its end. Erasures that waited for it go on by themselves. Releasing twice is releasing once.

use lethe_proto::retention::{Hold, ReleaseHoldRequest};
use lethe_service::id;

use super::{Api, Asking, encode};
use crate::{error::Error, store};

pub(super) async fn release_hold(
    api: &Api,
    asking: &Asking,
    request: ReleaseHoldRequest,
) -> Result<Hold, Error> {
    let hold = id("hold_id", &request.hold_id)?;
    let mut tx = api.db().tenant(asking.tenant).await?;
    if store::get_hold(&mut tx, hold).await?.is_none() {
        return Err(Error::HoldNotFound);
    }
    if store::start_release(&mut tx, hold, Some(asking.actor), api.clock().now()).await? {
        api.audit_hold(&mut tx, asking, "ReleaseHold", hold).await?;
    }
    tx.commit().await?;
    api.saga.outbox.wake();
    // It is released whatever messaging answers: the job asks until it does.
    if let Err(error) = api.saga.settle_hold(asking.tenant, hold).await {
        tracing::warn!(%hold, %error, "messaging is told of a release by the job");
    }
    api.due.notify_one();
    let mut tx = api.db().tenant(asking.tenant).await?;
    let row = store::get_hold(&mut tx, hold).await?.ok_or(Error::HoldNotFound)?;
    Ok(encode::hold(&row))
}
