//! The DSSE envelope, read by somebody who trusts nothing but the published keys.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::{
    keys::{KeysDocument, date},
    statement::{Statement, VERSION},
};

/// The media type of the payload.
pub const PAYLOAD_TYPE: &str = "application/vnd.lethe.erasure-certificate.v1+json";

/// The most that a certificate or a keys document may hold, in bytes.
const MOST: usize = 4 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    #[serde(rename = "payloadType")]
    payload_type: String,
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    keyid: String,
    sig: String,
}

/// Why a certificate attests nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The file is no certificate.
    #[error("the certificate is malformed: {0}")]
    Malformed(&'static str),
    /// The other file lists no keys.
    #[error("the keys document is malformed: {0}")]
    MalformedKeys(&'static str),
    /// Signed by a key that is not published.
    #[error("the certificate names a key that the keys document does not list")]
    UnknownKey,
    /// Altered after it was signed, or signed by somebody else.
    #[error("the signature does not fit: the certificate was altered, or not signed by the key it names")]
    BadSignature,
    /// Signed, but at a date at which this key does not sign.
    #[error("signed at {at}, but its key signs only from {valid_from} to {valid_until}")]
    KeyNotValid {
        /// The certificate's own date.
        at: String,
        /// The first date of the key.
        valid_from: String,
        /// The first date after it.
        valid_until: String,
    },
}

/// Checks a certificate against the published keys, offline.
///
/// # Errors
/// Tells a file that is no certificate, an unknown key, a wrong signature and a key outside its dates apart.
pub fn verify(envelope: &[u8], keys_document: &[u8]) -> Result<Statement, VerifyError> {
    if envelope.len() > MOST {
        return Err(VerifyError::Malformed("it is too long"));
    }
    if keys_document.len() > MOST {
        return Err(VerifyError::MalformedKeys("it is too long"));
    }
    let envelope: Envelope =
        serde_json::from_slice(envelope).map_err(|_| VerifyError::Malformed("it is no DSSE envelope"))?;
    let keys: KeysDocument = serde_json::from_slice(keys_document)
        .map_err(|_| VerifyError::MalformedKeys("it is no list of keys"))?;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(VerifyError::Malformed("its payload is of another type"));
    }
    let [signature] = envelope.signatures.as_slice() else {
        return Err(VerifyError::Malformed("it has not exactly one signature"));
    };
    let decode = |text: &str| {
        STANDARD.decode(text).map_err(|_| VerifyError::Malformed("its payload or signature is not base64"))
    };
    let (payload, sig) = (decode(&envelope.payload)?, decode(&signature.sig)?);

    let key = keys.keys.iter().find(|key| key.kid == signature.keyid).ok_or(VerifyError::UnknownKey)?;
    let public = key.public_key().ok_or(VerifyError::MalformedKeys("an entry is no Ed25519 key"))?;
    UnparsedPublicKey::new(&ED25519, public)
        .verify(&pae(PAYLOAD_TYPE, &payload), &sig)
        .map_err(|_| VerifyError::BadSignature)?;

    let statement: Statement = serde_json::from_slice(&payload)
        .map_err(|_| VerifyError::Malformed("its payload has another form"))?;
    if statement.version != VERSION || statement.key_id != key.kid {
        return Err(VerifyError::Malformed("its payload is of another version or names another key"));
    }
    let at = statement.dates.certified_at;
    if !key.signs_at(at) {
        return Err(VerifyError::KeyNotValid {
            at: date(at),
            valid_from: date(key.valid_from),
            valid_until: date(key.valid_until),
        });
    }
    Ok(statement)
}

/// DSSE's pre-authentication encoding: what is really signed.
pub(super) fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pae_is_as_in_the_specification_of_dsse() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
