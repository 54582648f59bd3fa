//! The keys that certificates are signed with: the private one in a file of its own, the public ones in a document that
//! anybody may fetch and keep. A key signs within its dates; a retired one stays listed, so that old certificates verify.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use lethe_ambient::{Entropy, Sensitive};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339, serde::rfc3339};
use zeroize::Zeroizing;

use super::{
    canonical::canonical,
    envelope::{PAYLOAD_TYPE, pae},
    statement::{Digest, Statement},
};

/// A key as it is published: an OKP key of RFC 8037 with the dates between which it signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedKey {
    /// The RFC 7638 thumbprint.
    pub kid: String,
    /// Always `OKP`.
    pub kty: String,
    /// Always `Ed25519`.
    pub crv: String,
    /// The public key, base64url.
    pub x: String,
    /// Signs from then.
    #[serde(with = "rfc3339")]
    pub valid_from: OffsetDateTime,
    /// Signs no more from then.
    #[serde(with = "rfc3339")]
    pub valid_until: OffsetDateTime,
}

/// The document at `/.well-known/lethe-keys.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysDocument {
    /// The key in use, and those retired.
    pub keys: Vec<PublishedKey>,
}

/// A private key's file: a private OKP key of RFC 8037 with its dates.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrivateKey {
    kty: String,
    crv: String,
    x: String,
    d: Sensitive<String>,
    #[serde(with = "rfc3339")]
    valid_from: OffsetDateTime,
    #[serde(with = "rfc3339")]
    valid_until: OffsetDateTime,
}

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the JSON of [`generate_key`], or its halves do not belong together.
    #[error("is not a certificate key as `generate_key` makes it")]
    Malformed,
    /// Asked to sign outside its dates.
    #[error("the certificate key is not valid at that date")]
    NotValid,
}

/// A new private key with its dates, as the text to be kept in a file that only retention can read.
///
/// # Errors
/// [`KeyError::NotValid`] unless `valid_until` comes after `valid_from`.
pub fn generate_key(
    entropy: &Entropy,
    valid_from: OffsetDateTime,
    valid_until: OffsetDateTime,
) -> Result<Sensitive<String>, KeyError> {
    if valid_until <= valid_from {
        return Err(KeyError::NotValid);
    }
    let seed = Zeroizing::new(entropy.bytes::<32>());
    let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| KeyError::Malformed)?;
    let (x, d) = (URL_SAFE_NO_PAD.encode(pair.public_key()), Zeroizing::new(URL_SAFE_NO_PAD.encode(*seed)));
    let (from, until) = (date(valid_from), date(valid_until));
    Ok(Sensitive::new(format!(
        "{{\n  \"kty\": \"OKP\",\n  \"crv\": \"Ed25519\",\n  \"x\": \"{x}\",\n  \"d\": \"{}\",\n  \
         \"valid_from\": \"{from}\",\n  \"valid_until\": \"{until}\"\n}}\n",
        *d
    )))
}

/// Signs certificates, and says with which keys they were and are signed.
pub struct Signer {
    pair: Ed25519KeyPair,
    key: PublishedKey,
    retired: Vec<PublishedKey>,
}

impl Signer {
    /// Reads what [`generate_key`] wrote; `retired` are keys that signed before.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] for anything else.
    pub fn new(file: &str, retired: Vec<PublishedKey>) -> Result<Self, KeyError> {
        let private: PrivateKey = serde_json::from_str(file).map_err(|_| KeyError::Malformed)?;
        let seed =
            Zeroizing::new(URL_SAFE_NO_PAD.decode(private.d.expose()).map_err(|_| KeyError::Malformed)?);
        let public = URL_SAFE_NO_PAD.decode(&private.x).map_err(|_| KeyError::Malformed)?;
        let pair =
            Ed25519KeyPair::from_seed_and_public_key(&seed, &public).map_err(|_| KeyError::Malformed)?;
        if private.kty != "OKP" || private.crv != "Ed25519" || private.valid_until <= private.valid_from {
            return Err(KeyError::Malformed);
        }
        let key = PublishedKey {
            kid: thumbprint(&private.x),
            kty: private.kty,
            crv: private.crv,
            x: private.x,
            valid_from: private.valid_from,
            valid_until: private.valid_until,
        };
        Ok(Self { pair, key, retired })
    }

    /// The id of the key that signs.
    pub fn key_id(&self) -> &str {
        &self.key.kid
    }

    /// The bytes served at `/.well-known/lethe-keys.json`.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when a date lies outside the years of RFC 3339.
    pub fn keys_document(&self) -> Result<Vec<u8>, KeyError> {
        let keys = std::iter::once(&self.key).chain(&self.retired).cloned().collect();
        serde_json::to_vec_pretty(&KeysDocument { keys }).map_err(|_| KeyError::Malformed)
    }

    /// The signed envelope, as JSON.
    ///
    /// # Errors
    /// [`KeyError::NotValid`] when the key does not sign at the statement's date; [`KeyError::Malformed`] when the
    /// statement names another key.
    pub fn sign(&self, statement: &Statement) -> Result<Vec<u8>, KeyError> {
        if !self.key.signs_at(statement.dates.certified_at) {
            return Err(KeyError::NotValid);
        }
        if statement.key_id != self.key.kid {
            return Err(KeyError::Malformed);
        }
        let payload = canonical(&serde_json::to_value(statement).map_err(|_| KeyError::Malformed)?);
        let signature = self.pair.sign(&pae(PAYLOAD_TYPE, payload.as_bytes()));
        let envelope = json!({
            "payloadType": PAYLOAD_TYPE,
            "payload": STANDARD.encode(payload),
            "signatures": [{ "keyid": self.key.kid, "sig": STANDARD.encode(signature) }],
        });
        Ok(canonical(&envelope).into_bytes())
    }
}

impl PublishedKey {
    /// Whether it signs at that instant.
    pub fn signs_at(&self, at: OffsetDateTime) -> bool {
        self.valid_from <= at && at < self.valid_until
    }

    /// The public key's 32 bytes, where the entry is one of an Ed25519 key and its id is its thumbprint.
    pub(super) fn public_key(&self) -> Option<Vec<u8>> {
        let right = self.kty == "OKP" && self.crv == "Ed25519" && self.kid == thumbprint(&self.x);
        right.then(|| URL_SAFE_NO_PAD.decode(&self.x).ok()).flatten().filter(|key| key.len() == 32)
    }
}

/// RFC 7638: SHA-256 over the required members in order, base64url.
fn thumbprint(x: &str) -> String {
    URL_SAFE_NO_PAD
        .encode(Digest::of(canonical(&json!({"crv": "Ed25519", "kty": "OKP", "x": x})).as_bytes()).0)
}

/// A date as the documents write it.
pub(super) fn date(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        // The example of RFC 8037, appendix A.3.
        assert_eq!(
            thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn a_damaged_key_file_is_refused() {
        let (from, until) = (datetime!(2026-01-01 0:00 UTC), datetime!(2027-01-01 0:00 UTC));
        let file = generate_key(&Entropy::seeded(1), from, until).unwrap();
        let other = generate_key(&Entropy::seeded(2), from, until).unwrap();
        assert!(Signer::new(file.expose(), Vec::new()).is_ok());
        let x = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["x"].clone();
        let swapped =
            file.expose().replace(x(file.expose()).as_str().unwrap(), x(other.expose()).as_str().unwrap());
        for wrong in [swapped.as_str(), "", "{}", &file.expose().replace("Ed25519", "Ed448")] {
            assert_eq!(Signer::new(wrong, Vec::new()).err(), Some(KeyError::Malformed));
        }
        assert_eq!(generate_key(&Entropy::seeded(1), until, from).err(), Some(KeyError::NotValid));
    }
}
