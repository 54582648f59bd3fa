//! Signing and verifying: Ed25519 over a domain string and the payload, so that a signature made for one kind of token is
//! none for the other.

use bytes::Bytes;
use lethe_proto::access::{self as proto, SignedToken};
use prost::Message;

use crate::{Denied, IDENTITY, Principal, PublicKeys, ServiceKey, TOKEN_LIFE_MS};

const SERVICE_DOMAIN: &[u8] = b"lethe service token v1\0";
const PRINCIPAL_DOMAIN: &[u8] = b"lethe principal v1\0";
/// A token is a few hundred bytes; more is not looked at.
const LONGEST: usize = 4096;
/// How far ahead of ours the signer's clock may be.
const AHEAD_MS: i64 = 5_000;

pub(crate) fn sign_service(key: &ServiceKey, service: &str, audience: &str, now_ms: i64) -> Vec<u8> {
    let token = proto::ServiceToken {
        service: service.to_owned(),
        audience: audience.to_owned(),
        issued_at_ms: now_ms,
        expires_at_ms: now_ms + TOKEN_LIFE_MS,
    };
    signed(key, SERVICE_DOMAIN, &token.encode_to_vec())
}

pub(crate) fn sign_principal(key: &ServiceKey, principal: &Principal) -> Vec<u8> {
    signed(key, PRINCIPAL_DOMAIN, &principal.encode().encode_to_vec())
}

/// The token's service and end, if it was signed by that service for `audience`. The end is not looked at.
pub(crate) fn verify_service(
    keys: &PublicKeys,
    audience: &str,
    token: Bytes,
) -> Result<proto::ServiceToken, Denied> {
    let invalid = Denied::SERVICE_TOKEN_INVALID;
    let signed = split(token).ok_or(invalid)?;
    let token = proto::ServiceToken::decode(signed.payload.clone()).map_err(|_| invalid)?;
    let genuine = keys.verify(&token.service, &message(SERVICE_DOMAIN, &signed.payload), &signed.signature);
    if !genuine || token.audience != audience || lives_too_long(token.issued_at_ms, token.expires_at_ms) {
        return Err(invalid);
    }
    Ok(token)
}

/// The principal, if identity signed it. The end is not looked at.
pub(crate) fn verify_principal(keys: &PublicKeys, token: Bytes) -> Result<Principal, Denied> {
    let invalid = Denied::PRINCIPAL_INVALID;
    let signed = split(token).ok_or(invalid)?;
    if !keys.verify(IDENTITY, &message(PRINCIPAL_DOMAIN, &signed.payload), &signed.signature) {
        return Err(invalid);
    }
    let principal = proto::Principal::decode(signed.payload).map_err(|_| invalid)?;
    let principal = Principal::decode(&principal).ok_or(invalid)?;
    if lives_too_long(principal.issued_at_ms, principal.expires_at_ms) {
        return Err(invalid);
    }
    Ok(principal)
}

/// Whether a token that is good between these is good at `now_ms`.
pub(crate) const fn in_time(issued_at_ms: i64, expires_at_ms: i64, now_ms: i64) -> bool {
    now_ms < expires_at_ms && issued_at_ms <= now_ms + AHEAD_MS
}

const fn lives_too_long(issued_at_ms: i64, expires_at_ms: i64) -> bool {
    expires_at_ms.saturating_sub(issued_at_ms) > TOKEN_LIFE_MS
}

fn split(token: Bytes) -> Option<SignedToken> {
    if token.len() > LONGEST { None } else { SignedToken::decode(token).ok() }
}

fn signed(key: &ServiceKey, domain: &[u8], payload: &[u8]) -> Vec<u8> {
    let signature = key.sign(&message(domain, payload));
    SignedToken { payload: Bytes::copy_from_slice(payload), signature: signature.into() }.encode_to_vec()
}

fn message(domain: &[u8], payload: &[u8]) -> Vec<u8> {
    [domain, payload].concat()
}
