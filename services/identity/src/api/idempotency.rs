//! What the RPCs that create share: with an idempotency key twice is as once.

use lethe_proto::request::Idempotency;
use lethe_service::TenantTx;
use uuid::Uuid;

use crate::{Error, domain::Invalid, store};

/// Of an idempotency key.
const LONGEST_KEY: usize = 64;

/// The key of a request that creates, if it has one.
pub(super) fn key(idempotency: Option<Idempotency>) -> Result<Option<String>, Error> {
    let Some(Idempotency { key }) = idempotency.filter(|given| !given.key.is_empty()) else {
        return Ok(None);
    };
    let fits = key.len() <= LONGEST_KEY
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if fits {
        Ok(Some(key))
    } else {
        Err(Invalid::new("idempotency.key", "must be 1 to 64 of A-Z, a-z, 0-9, _ and -").into())
    }
}

/// What the key made before, by its RPC and whoever used it; `None` when it comes for the first time.
pub(super) async fn made_before(
    tx: &mut TenantTx,
    (rpc, who, key): (&'static str, Uuid, &str),
    body_mac: &[u8],
) -> Result<Option<Uuid>, Error> {
    match store::idempotency::get(tx, rpc, who, key).await? {
        Some(used) if used.body_mac != body_mac => Err(Error::KeyReused),
        used => Ok(used.map(|used| used.resource)),
    }
}
