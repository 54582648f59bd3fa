//! Wrapped secrets: how the keystore holds them, each under a tenant key of one epoch.
//!
//! ```text
//! "LTHW" 01 | kind 1 | epoch 4 | tenant 16 | secret id 16 | commitment 16 | nonce 12 | ciphertext 32 | tag 16
//! ```
//! Numbers are big-endian; everything before the commitment is associated data. The fixed shape is what a harvest of
//! raw pages and WAL looks for.

use aws_lc_rs::{aead::LessSafeKey, hkdf::Prk};
use lethe_ambient::Entropy;
use lethe_ids::TenantId;
use memchr::memmem;
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    OpenError,
    crypto::{self, COMMITMENT_LEN, KEY_LEN, NONCE_LEN, TAG_LEN},
};

/// What each wrapped secret begins with; the last byte is the format's version.
pub const MAGIC: [u8; 5] = *b"LTHW\x01";
/// Length of a wrapped secret, in bytes.
pub const LEN: usize = BOUND + COMMITMENT_LEN + NONCE_LEN + KEY_LEN + TAG_LEN;
/// What the tag covers beside the secret: magic, kind, epoch, tenant, id.
const BOUND: usize = 5 + 1 + 4 + 16 + 16;

/// What a wrapped secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A subject's.
    Subject = 1,
    /// A unit's.
    Unit = 2,
    /// A tenant's key of the blind index.
    BlindIndex = 3,
    /// A tenant's key of the suppression list.
    Suppression = 4,
}

impl Kind {
    /// The kind with this number.
    pub const fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Subject),
            2 => Some(Self::Unit),
            3 => Some(Self::BlindIndex),
            4 => Some(Self::Suppression),
            _ => None,
        }
    }
}

/// A wrapped secret, as read from the keystore or from raw bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wrapped {
    /// What it is for.
    pub kind: Kind,
    /// Under which epoch's tenant key.
    pub epoch: u32,
    /// Whose.
    pub tenant: TenantId,
    /// The subject's, unit's or index key's id.
    pub id: Uuid,
    commitment: [u8; COMMITMENT_LEN],
    nonce: [u8; NONCE_LEN],
    sealed: [u8; KEY_LEN + TAG_LEN],
}

/// Reads the wrapped secret that `bytes` begin with, if it is one.
pub fn parse(bytes: &[u8]) -> Option<Wrapped> {
    let (magic, rest) = bytes.split_first_chunk::<5>()?;
    if *magic != MAGIC {
        return None;
    }
    let (kind, rest) = rest.split_first()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let (tenant, rest) = rest.split_first_chunk()?;
    let (id, rest) = rest.split_first_chunk()?;
    let (commitment, rest) = rest.split_first_chunk()?;
    let (nonce, rest) = rest.split_first_chunk()?;
    let (sealed, _) = rest.split_first_chunk()?;
    Some(Wrapped {
        kind: Kind::of(*kind)?,
        epoch: u32::from_be_bytes(*epoch),
        tenant: TenantId::new(Uuid::from_bytes(*tenant)),
        id: Uuid::from_bytes(*id),
        commitment: *commitment,
        nonce: *nonce,
        sealed: *sealed,
    })
}

/// Offsets in raw bytes at which a whole wrapped secret stands.
pub fn find(haystack: &[u8]) -> impl Iterator<Item = usize> + '_ {
    memmem::find_iter(haystack, &MAGIC).filter(|at| parse(&haystack[*at..]).is_some())
}

/// A tenant's key of one epoch, which wraps that tenant's secrets. Wiped when dropped.
pub struct TenantKey {
    aes: LessSafeKey,
    commitment: [u8; COMMITMENT_LEN],
}

impl std::fmt::Debug for TenantKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TenantKey")
    }
}

impl TenantKey {
    /// From the 32 bytes that the key service unwrapped; the caller wipes them.
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        let prk: Prk = crypto::extract(key);
        let aes = crypto::aes(&crypto::expand(&prk, &[b"lethe wrap key"]));
        Self { aes, commitment: *crypto::expand(&prk, &[b"lethe wrap commitment"]) }
    }

    /// Whether both are the same key.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.commitment.ct_eq(&other.commitment).into()
    }

    /// Wraps a secret.
    pub(crate) fn wrap(
        &self,
        (kind, epoch, tenant, id): (Kind, u32, TenantId, Uuid),
        secret: &[u8; KEY_LEN],
        entropy: &Entropy,
    ) -> Vec<u8> {
        let nonce = entropy.bytes();
        let mut out = Vec::with_capacity(LEN);
        out.extend_from_slice(&bound(kind, epoch, tenant, id));
        out.extend_from_slice(&self.commitment);
        out.extend_from_slice(&nonce);
        let from = out.len();
        out.extend_from_slice(secret);
        let aad = bound(kind, epoch, tenant, id);
        crypto::encrypt(&self.aes, nonce, &aad, &mut out, from);
        out
    }
}

impl Wrapped {
    /// Opens it, if `key` is the one it was wrapped under.
    ///
    /// # Errors
    /// [`OpenError::WrongKey`] or [`OpenError::Damaged`].
    pub fn try_unwrap(&self, key: &TenantKey) -> Result<Zeroizing<[u8; KEY_LEN]>, OpenError> {
        let aad = bound(self.kind, self.epoch, self.tenant, self.id);
        let committed: bool = self.commitment.ct_eq(&key.commitment).into();
        match (committed, crypto::decrypt(&key.aes, self.nonce, &aad, &self.sealed)) {
            (true, Some(text)) => {
                let mut secret = Zeroizing::new([0; KEY_LEN]);
                secret.copy_from_slice(&text);
                Ok(secret)
            }
            (false, None) => Err(OpenError::WrongKey),
            _ => Err(OpenError::Damaged),
        }
    }
}

fn bound(kind: Kind, epoch: u32, tenant: TenantId, id: Uuid) -> [u8; BOUND] {
    let mut out = [0; BOUND];
    out[..5].copy_from_slice(&MAGIC);
    out[5] = kind as u8;
    out[6..10].copy_from_slice(&epoch.to_be_bytes());
    out[10..26].copy_from_slice(tenant.uuid().as_bytes());
    out[26..].copy_from_slice(id.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// Written by `tests/golden.py`.
    #[test]
    fn the_format_is_the_golden_one() {
        let key = TenantKey::new(&[5; 32]);
        let tenant = TenantId::new(Uuid::from_bytes([0x11; 16]));
        let id = Uuid::from_bytes([0x22; 16]);
        let out = key.wrap((Kind::Subject, 3, tenant, id), &[9; 32], &Entropy::seeded(43));
        assert_eq!(
            out,
            bytes(
                "4c54485701010000000311111111111111111111111111111111222222222222222222222222222222227582cfc8fec2728acf4311461e8afe4416951fa99c037e0d2f07e2fa106f34917ebc9ea4925d4ed59943332e0b6027d8819d15df0fc8cc5448e5f4028b26ad6fbc0be22d81a085a617206e1a"
            )
        );
        assert_eq!(out.len(), LEN);
    }

    #[test]
    fn it_opens_under_its_key_only_and_damage_is_told_apart() {
        let (key, other) = (TenantKey::new(&[5; 32]), TenantKey::new(&[6; 32]));
        let tenant = TenantId::new(Uuid::from_bytes([0x11; 16]));
        let entropy = Entropy::seeded(1);
        let out = key.wrap((Kind::Unit, 3, tenant, Uuid::nil()), &[9; 32], &entropy);
        let wrapped = parse(&out).unwrap();
        assert_eq!(*wrapped.try_unwrap(&key).unwrap(), [9; 32]);
        assert_eq!(wrapped.try_unwrap(&other), Err(OpenError::WrongKey));
        let mut raw = vec![0; 30];
        raw.extend_from_slice(&out);
        raw.extend_from_slice(&out[..LEN - 1]);
        assert_eq!(find(&raw).collect::<Vec<_>>(), [30]);
        for at in 5..LEN {
            let mut bent = out.clone();
            bent[at] ^= 1;
            // Kind 2 becomes 3: another kind, not none.
            let bent = parse(&bent).unwrap().try_unwrap(&key);
            assert_eq!(bent, Err(OpenError::Damaged), "byte {at}");
        }
    }
}
