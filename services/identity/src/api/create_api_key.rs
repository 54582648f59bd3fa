//! `CreateApiKey`: a key for a program, with no more rights than its maker has. Its secret is said once; what is kept is
//! sealed, because a signature by HMAC can only be verified with the secret itself.

use lethe_access::SigningKey;
use lethe_ids::{ApiKeyId, ErasureId, SubjectId, UnitId};
use lethe_keyring::Purpose;
use lethe_proto::identity::{CreateApiKeyRequest, CreateApiKeyResponse};
use lethe_service::{TenantTx, instant};
use prost::Message;
use tonic::Request;
use zeroize::Zeroizing;

use super::{
    Call, Identity,
    idempotency::{key, made_before},
};
use crate::{
    Error,
    domain::api_key::{KeyName, Scopes, end, per_minute},
    store::{self, api_key::ApiKeyRow, idempotency::Used},
};

const RPC: &str = "CreateApiKey";

pub(super) async fn handle(
    identity: &Identity,
    request: Request<CreateApiKeyRequest>,
) -> Result<CreateApiKeyResponse, Error> {
    let call = Call::of(&request)?;
    let maker = call.member()?;
    let mut asked = request.into_inner();
    let key = key(asked.idempotency.take())?;
    let name = KeyName::parse(&asked.name)?;
    let scopes = Scopes::parse(&asked.scopes, &call.principal)?;
    let requests_per_minute =
        per_minute(asked.requests_per_minute)?.and_then(|most| i32::try_from(most).ok());
    let expires_at = asked.expires_at.as_ref().map(|at| instant(at, "expires_at")).transpose()?;
    let now = identity.0.clock.now();
    let blind = identity.0.keyring.blind(call.tenant()).await?;
    let body_mac = blind.fingerprint(b"identity CreateApiKey", &asked.encode_to_vec());
    if let Some(key) = &key
        && let Some(replay) = replay(identity, &call, key, &body_mac).await?
    {
        return Ok(replay);
    }
    // After the replay: a key that has expired meanwhile was made all the same.
    let expires_at = end(expires_at, now)?;

    let (entropy, clock, keyring) = (&identity.0.entropy, &identity.0.clock, &identity.0.keyring);
    let id = ApiKeyId::new(entropy.uuid7(clock));
    let subject = SubjectId::new(entropy.uuid7(clock));
    let [name_unit, secret_unit] = [(); 2].map(|()| UnitId::new(entropy.uuid7(clock)));
    keyring.create(call.tenant(), Some(subject), &[name_unit, secret_unit], subject).await?;
    let made = async {
        let signing = SigningKey::new(call.tenant(), id, Zeroizing::new(entropy.bytes()));
        let named = keyring.sealer(call.tenant(), subject, name_unit).await?;
        let secret = keyring.sealer(call.tenant(), subject, secret_unit).await?;
        let row = ApiKeyRow {
            id,
            subject,
            name_unit,
            secret_unit,
            name: named.seal(Purpose::TenantProfile, id.uuid(), 1, name.expose().as_bytes()),
            secret: Some(secret.seal(Purpose::Credential, id.uuid(), 1, signing.secret())),
            scopes,
            requests_per_minute,
            created_by: maker,
            created_at: now,
            expires_at,
            revoked_at: None,
        };
        Ok::<_, Error>((signing, insert(identity, &call, key.as_deref(), &body_mac, &row).await?, row))
    };
    match made.await {
        Ok((signing, Some(tx), row)) => {
            // Where the answer to the commit is lost the row may be there: then only the sweep can tell.
            tx.commit().await?;
            let api_key = identity.api_key(call.tenant(), &row, None).await?;
            Ok(CreateApiKeyResponse { api_key: Some(api_key), secret: signing.reveal().to_string() })
        }
        other => {
            let cause = ErasureId::new(entropy.uuid4());
            if let Err(error) =
                keyring.destroy(call.tenant(), &[subject], &[name_unit, secret_unit], cause).await
            {
                tracing::warn!(%error, "the secrets of an API key that was not made wait for the sweep");
            }
            other?;
            // The same request, at the same time, was faster.
            let key = key.as_deref().unwrap_or_default();
            replay(identity, &call, key, &body_mac).await?.ok_or(Error::Corrupt("idempotency key"))
        }
    }
}

/// What the idempotency key made before: the API key as it is now, without its secret.
async fn replay(
    identity: &Identity,
    call: &Call,
    key: &str,
    body_mac: &[u8; 32],
) -> Result<Option<CreateApiKeyResponse>, Error> {
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    let who = call.principal.actor().uuid();
    let Some(made) = made_before(&mut tx, (RPC, who, key), body_mac).await? else { return Ok(None) };
    let found = store::api_key::get(&mut tx, ApiKeyId::new(made)).await?;
    drop(tx);
    let (row, last_used_at) = found.ok_or(Error::Gone("api key"))?;
    let api_key = identity.api_key(call.tenant(), &row, last_used_at).await?;
    Ok(Some(CreateApiKeyResponse { api_key: Some(api_key), secret: String::new() }))
}

/// The rows, not yet committed; `None` when the idempotency key was used meanwhile.
async fn insert(
    identity: &Identity,
    call: &Call,
    key: Option<&str>,
    body_mac: &[u8; 32],
    row: &ApiKeyRow,
) -> Result<Option<TenantTx>, Error> {
    let mut tx = identity.0.db.tenant(call.tenant()).await?;
    // One at a time, or two would both be the last.
    store::tenant::lock(&mut tx).await?;
    if let Some(key) = key {
        let used = Used { body_mac: body_mac.to_vec(), resource: row.id.uuid() };
        let who = call.principal.actor().uuid();
        if !store::idempotency::insert(&mut tx, RPC, who, key, &used, row.created_at).await? {
            return Ok(None);
        }
    }
    if store::api_key::living(&mut tx, row.created_at).await? >= identity.0.config.api_keys.most.into() {
        return Err(Error::TooMany("api_keys"));
    }
    store::api_key::insert(&mut tx, row).await?;
    let done = call.done(RPC, "api_key", row.id);
    identity.record(&mut tx, call.actor(), done).await?;
    Ok(Some(tx))
}
