//! `AuthenticateSignature`: a signature that a key made becomes a principal of 60 s. One read, no write. Whoever shows one gets
//! the key's bytes for as long as that principal is good, and so verifies the next signatures himself: a gateway knows
//! the keys that are in use at it, and no others.

use lethe_access::{Principal, TOKEN_LIFE_MS, Who, parse_keyid, signature, signature::Fault};
use lethe_keyring::{KeyError, Purpose};
use lethe_proto::identity::{AuthenticateSignatureRequest, AuthenticateSignatureResponse};
use tonic::Request;

use super::Identity;
use crate::{Error, domain::Invalid, store};

/// The longest signature base, in bytes: the gateway's limit on headers is 32 KiB, and few of them are signed.
const LONGEST_BASE: usize = 16 * 1024;

pub(super) async fn handle(
    identity: &Identity,
    request: Request<AuthenticateSignatureRequest>,
) -> Result<AuthenticateSignatureResponse, Error> {
    let asked = request.into_inner();
    if asked.base.len() > LONGEST_BASE {
        return Err(Invalid::new("base", "is too long").into());
    }
    let (tenant, key) = parse_keyid(&asked.keyid).ok_or(Error::Signature(Fault::KeyUnknown))?;
    let clock = &identity.0.clock;
    let now = clock.now();
    let mut tx = identity.0.db.tenant(tenant).await?;
    let found = store::api_key::in_force(&mut tx, key, now).await?;
    drop(tx);
    let found = found.ok_or(Error::Signature(Fault::KeyUnknown))?;
    let sealer = match identity.0.keyring.sealer(tenant, found.row.subject, found.row.secret_unit).await {
        // Revoked at this moment.
        Err(KeyError::Destroyed) => return Err(Error::Signature(Fault::KeyUnknown)),
        sealer => sealer?,
    };
    let sealed = found.row.secret.as_deref().ok_or(Error::Corrupt("api key"))?;
    let secret = sealer.open(Purpose::Credential, key.uuid(), 1, sealed)?;
    signature::verify(&secret, &asked.base, &asked.signature).map_err(Error::Signature)?;

    let issued_at_ms = clock.millis().max(found.void_before_ms);
    let ends_at_ms = found
        .row
        .expires_at
        .map_or(i64::MAX, |end| i64::try_from(end.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX));
    let principal = Principal {
        tenant,
        who: Who::ApiKey { key, scopes: found.row.scopes.as_slice().into() },
        issued_at_ms,
        expires_at_ms: (issued_at_ms + TOKEN_LIFE_MS).min(ends_at_ms),
    };
    Ok(AuthenticateSignatureResponse {
        principal: identity.0.access.sign_principal(&principal).to_bytes(),
        secret: secret.to_vec().into(),
        requests_per_minute: found.row.requests_per_minute.unwrap_or_default().unsigned_abs(),
        plan: found.plan,
    })
}
