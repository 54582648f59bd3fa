//! `RevokeApiKey`: ends a key, at once and everywhere, and destroys its secret. Twice is as once.

use lethe_access::Revoked;
use lethe_ids::{ApiKeyId, ErasureId};
use lethe_proto::identity::{ApiKey, RevokeApiKeyRequest};
use lethe_service::id;
use tonic::Request;

use super::{Call, Identity, Told};
use crate::{Error, store};

pub(super) async fn handle(
    identity: &Identity,
    request: Request<RevokeApiKeyRequest>,
) -> Result<ApiKey, Error> {
    let call = Call::of(&request)?;
    let key: ApiKeyId = id("api_key_id", &request.get_ref().api_key_id)?;
    let clock = &identity.0.clock;
    let mut told = Told::default();
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    if store::api_key::revoke(&mut tx, key, clock.now()).await? {
        identity.revoke(&mut tx, &mut told, Revoked::ApiKey(key), clock.millis()).await?;
        let done = call.done("RevokeApiKey", "api_key", key);
        identity.record(&mut tx, call.actor(), done).await?;
    }
    let found = store::api_key::get(&mut tx, key).await?;
    tx.commit().await?;
    identity.tell(told);
    let (row, last_used_at) = found.ok_or(Error::NotFound("api key"))?;
    // After the rows: a crash in between leaves a secret of which nothing is sealed any more, and the next call, or the
    // key's end in the sweep, destroys it.
    let cause = ErasureId::new(identity.0.entropy.uuid4());
    identity.0.keyring.destroy(call.tenant(), &[], &[row.secret_unit], cause).await?;
    identity.api_key(call.tenant(), &row, last_used_at).await
}
