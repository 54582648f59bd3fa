//! GetErasure: how it stands, each participant's part, and why it waits.

use lethe_proto::retention::{Erasure, GetErasureRequest};
use lethe_service::id;

use super::{Api, Asking, encode};
use crate::{error::Error, store};

pub(super) async fn get_erasure(
    api: &Api,
    asking: &Asking,
    request: GetErasureRequest,
) -> Result<Erasure, Error> {
    let erasure_id = id("erasure_id", &request.erasure_id)?;
    let mut tx = api.db().tenant(asking.tenant).await?;
    let row = store::get(&mut tx, erasure_id).await?.ok_or(Error::ErasureNotFound)?;
    encode::erasure(&mut tx, &row, api.clock().now()).await
}
