//! The blind index and the suppression list: HMAC-SHA-256 of a normalised address under a tenant's own key. The two
//! keys are separate, long-lived, and open nothing. Each MAC carries the version of its key and of the normaliser's
//! rules; a look-up tries all that live.

use std::sync::Arc;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::{crypto::KEY_LEN, normalise::NORMALISER_VERSION};

/// The versions of the normaliser whose rows may still be there.
const LIVE_NORMALISERS: [u16; 1] = [NORMALISER_VERSION];

/// What kind of address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum AddressKind {
    /// A telephone number in E.164: [`crate::normalise::phone`].
    Phone = 1,
    /// An e-mail address: [`crate::normalise::email`].
    Email = 2,
}

impl AddressKind {
    /// Its number in the keystore and under the MAC.
    pub const fn number(self) -> i16 {
        self as i16
    }
}

/// The MAC of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac {
    /// HMAC-SHA-256.
    pub mac: [u8; 32],
    /// Which of the tenant's keys.
    pub key_version: u32,
    /// Which rules made the text.
    pub normaliser_version: u16,
}

/// A tenant's keys of one of the two lists. Cheap to clone.
#[derive(Clone)]
pub struct BlindIndex(Arc<Keys>);

struct Keys {
    label: &'static [u8],
    /// By version, oldest first.
    keys: Vec<(u32, hmac::Key)>,
}

impl std::fmt::Debug for BlindIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlindIndex")
    }
}

/// The suppression list's keys work as the blind index's do.
pub type Suppression = BlindIndex;

impl BlindIndex {
    pub(crate) fn new(label: &'static [u8], keys: &[(u32, Zeroizing<[u8; KEY_LEN]>)]) -> Self {
        let keys = keys
            .iter()
            .map(|(version, key)| (*version, hmac::Key::new(hmac::HMAC_SHA256, key.as_ref())))
            .collect();
        Self(Arc::new(Keys { label, keys }))
    }

    /// Every MAC under which this address may stand; the last is the one to write.
    pub fn macs(&self, kind: AddressKind, normalised: &str) -> Vec<Mac> {
        let mut macs = Vec::with_capacity(self.0.keys.len() * LIVE_NORMALISERS.len());
        for (key_version, key) in &self.0.keys {
            for normaliser_version in LIVE_NORMALISERS {
                let mut context = hmac::Context::with_key(key);
                context.update(self.0.label);
                context.update(&[kind as u8]);
                context.update(&normaliser_version.to_be_bytes());
                context.update(normalised.as_bytes());
                let mut mac = [0; 32];
                mac.copy_from_slice(context.sign().as_ref());
                macs.push(Mac { mac, key_version: *key_version, normaliser_version });
            }
        }
        macs
    }

    /// The MAC of something that is no address: a request's idempotency key, its body. `label` says what, so that two
    /// kinds of things never meet. Under the newest key.
    pub fn fingerprint(&self, label: &'static [u8], bytes: &[u8]) -> [u8; 32] {
        let (_, key) = self.0.keys.last().expect("a tenant's list has a key from its first use on");
        let mut context = hmac::Context::with_key(key);
        context.update(b"lethe fingerprint");
        context.update(&(label.len() as u64).to_be_bytes());
        context.update(label);
        context.update(bytes);
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// The MAC to write: newest key, newest rules.
    pub fn mac(&self, kind: AddressKind, normalised: &str) -> Mac {
        *self.macs(kind, normalised).last().expect("a tenant's list has a key from its first use on")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_up_tries_all_versions_and_writes_under_the_newest() {
        let old = (1, Zeroizing::new([1; 32]));
        let new = (2, Zeroizing::new([2; 32]));
        let (before, after) =
            (BlindIndex::new(b"x", std::slice::from_ref(&old)), BlindIndex::new(b"x", &[old, new]));
        let written = before.mac(AddressKind::Email, "ada@example.org");
        let tried = after.macs(AddressKind::Email, "ada@example.org");
        assert!(tried.contains(&written));
        assert_eq!(after.mac(AddressKind::Email, "ada@example.org").key_version, 2);
        assert_eq!(tried.len(), 2);
        // Fingerprints of two kinds do not meet, nor do they meet addresses.
        assert_ne!(before.fingerprint(b"a", b"bc"), before.fingerprint(b"ab", b"c"));
        assert_ne!(before.fingerprint(b"x", b"ada@example.org"), written.mac);
        // Kinds and lists do not meet.
        assert_ne!(written.mac, before.mac(AddressKind::Phone, "ada@example.org").mac);
        let other = BlindIndex::new(b"y", &[(1, Zeroizing::new([1; 32]))]);
        assert_ne!(written.mac, other.mac(AddressKind::Email, "ada@example.org").mac);
    }
}
