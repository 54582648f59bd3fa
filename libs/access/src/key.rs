//! The keys of the services: each signs with its own, and knows the public ones of all.

use std::{collections::HashMap, fmt, sync::Arc};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};

/// A key that is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a usable Ed25519 key")]
pub struct UnusableKey;

/// A service's signing key (Ed25519, RFC 8032). Never printed.
#[derive(Clone)]
pub struct ServiceKey(Arc<Ed25519KeyPair>);

impl ServiceKey {
    /// The key of this seed: 32 random bytes that are kept as a secret.
    ///
    /// # Errors
    /// When the library refuses the seed.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, UnusableKey> {
        Ok(Self(Arc::new(Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| UnusableKey)?)))
    }

    /// The public half, for the configuration of the others.
    pub fn public(&self) -> [u8; 32] {
        let mut public = [0; 32];
        public.copy_from_slice(self.0.public_key().as_ref());
        public
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceKey")
    }
}

/// The public keys by the name of the service.
#[derive(Clone, Debug, Default)]
pub struct PublicKeys(HashMap<String, ParsedPublicKey>);

impl PublicKeys {
    /// No keys: nobody is believed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Believes `service` under this key. A second key for a name replaces the first.
    ///
    /// # Errors
    /// When the bytes are no point of the curve.
    pub fn insert(&mut self, service: impl Into<String>, public: &[u8; 32]) -> Result<(), UnusableKey> {
        let key = ParsedPublicKey::new(&ED25519, public).map_err(|_| UnusableKey)?;
        self.0.insert(service.into(), key);
        Ok(())
    }

    /// Whether `signature` over `message` is the service's.
    pub(crate) fn verify(&self, service: &str, message: &[u8], signature: &[u8]) -> bool {
        self.0.get(service).is_some_and(|key| key.verify_sig(message, signature).is_ok())
    }
}
