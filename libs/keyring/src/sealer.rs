//! Seals and opens the values of one subject and unit. A [`Sealer`] is cheap to clone, keeps one data key for each
//! purpose it was used with, and wipes them when the last clone goes.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use aws_lc_rs::{aead::LessSafeKey, hkdf::Prk};
use lethe_ambient::Entropy;
use lethe_ids::{SubjectId, TenantId, UnitId};
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    OpenError, Purpose,
    crypto::{self, COMMITMENT_LEN, KEY_LEN, TAG_LEN},
    header::{self, Header},
};

const DATA_KEY: &[u8] = b"lethe data key";
const COMMITMENT: &[u8] = b"lethe commitment";
const HANDED_KEY: &[u8] = b"lethe handed key";

/// Length of the associated data: format, tenant, subject, unit, purpose, record, version.
const AAD_LEN: usize = 5 + 16 + 16 + 16 + 2 + 16 + 4;

/// The keys of one subject and unit.
#[derive(Clone)]
pub struct Sealer(Arc<Inner>);

struct Inner {
    tenant: TenantId,
    subject: SubjectId,
    unit: UnitId,
    prk: Prk,
    entropy: Entropy,
    keys: [OnceLock<Box<DataKey>>; Purpose::ALL.len()],
}

struct DataKey {
    aes: LessSafeKey,
    commitment: [u8; COMMITMENT_LEN],
}

impl Sealer {
    /// From the secrets themselves, which the caller wipes. For the keyring, and for whoever harvests.
    pub fn of_secrets(
        tenant: TenantId,
        (subject, subject_secret): (SubjectId, &[u8; KEY_LEN]),
        (unit, unit_secret): (UnitId, &[u8; KEY_LEN]),
        entropy: &Entropy,
    ) -> Self {
        let mut secrets = Zeroizing::new([0; 2 * KEY_LEN]);
        secrets[..KEY_LEN].copy_from_slice(subject_secret);
        secrets[KEY_LEN..].copy_from_slice(unit_secret);
        Self::new(tenant, subject, unit, crypto::extract(secrets.as_ref()), entropy)
    }

    /// From a key that another service handed over ([`Sealer::handed_key`]), as for a census: the subject is nil,
    /// `unit` is what the key belongs to, the erasure's id.
    pub fn of_handed_key(key: &[u8; KEY_LEN], tenant: TenantId, unit: Uuid, entropy: &Entropy) -> Self {
        let nobody = SubjectId::new(Uuid::nil());
        Self::new(tenant, nobody, UnitId::new(unit), crypto::extract(key), entropy)
    }

    fn new(tenant: TenantId, subject: SubjectId, unit: UnitId, prk: Prk, entropy: &Entropy) -> Self {
        let keys = [const { OnceLock::new() }; Purpose::ALL.len()];
        Self(Arc::new(Inner { tenant, subject, unit, prk, entropy: entropy.clone(), keys }))
    }

    /// Whose values it seals.
    pub fn subject(&self) -> SubjectId {
        self.0.subject
    }

    /// Which unit's.
    pub fn unit(&self) -> UnitId {
        self.0.unit
    }

    /// Seals a value for one place: the record it stands in and that record's seal version. The result is
    /// [`header::LEN`] + 16 bytes longer than the text.
    pub fn seal(&self, purpose: Purpose, record: Uuid, version: u32, plaintext: &[u8]) -> Vec<u8> {
        let key = self.key(purpose);
        let header = Header {
            purpose: purpose.number(),
            version,
            subject: self.0.subject,
            unit: self.0.unit,
            commitment: key.commitment,
            nonce: self.0.entropy.bytes(),
        };
        let mut out = Vec::with_capacity(header::LEN + plaintext.len() + TAG_LEN);
        header.write(&mut out);
        out.extend_from_slice(plaintext);
        crypto::encrypt(&key.aes, header.nonce, &self.aad(purpose, record, version), &mut out, header::LEN);
        out
    }

    /// Opens a value in the place where it was sealed.
    ///
    /// # Errors
    /// [`OpenError::WrongKey`] when it was sealed under another key, [`OpenError::Damaged`] when the key is right but
    /// bytes or place are not, [`OpenError::Format`] when it is no sealed value.
    pub fn open(
        &self,
        purpose: Purpose,
        record: Uuid,
        version: u32,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let header = header::parse(sealed).ok_or(OpenError::Format)?;
        let body = &sealed[header::LEN..];
        if body.len() < TAG_LEN {
            return Err(OpenError::Format);
        }
        if header.purpose != purpose.number() {
            return Err(match Purpose::of(header.purpose) {
                Some(other) if !self.commits_to(other, &header) => OpenError::WrongKey,
                _ => OpenError::Damaged,
            });
        }
        let key = self.key(purpose);
        let aad = self.aad(purpose, record, version);
        let committed = self.commits_to(purpose, &header);
        let text = crypto::decrypt(&key.aes, header.nonce, &aad, body);
        match (committed, text) {
            (true, Some(text)) if self.named_in(&header) && header.version == version => Ok(text),
            // The text opens, so it is the header's commitment or ids that were changed.
            (true, _) | (false, Some(_)) => Err(OpenError::Damaged),
            (false, None) => Err(OpenError::WrongKey),
        }
    }

    /// Whether `header` was written under this sealer's key; needs nothing of the value behind it. For the harvest.
    pub fn commits_to(&self, purpose: Purpose, header: &Header) -> bool {
        self.key(purpose).commitment.ct_eq(&header.commitment).into()
    }

    /// What headers of this purpose carry.
    pub fn commitment(&self, purpose: Purpose) -> [u8; COMMITMENT_LEN] {
        self.key(purpose).commitment
    }

    /// A key to hand to another service, which seals with [`Sealer::of_handed_key`]. It dies with this sealer's secrets.
    pub fn handed_key(&self, purpose: Purpose) -> Zeroizing<[u8; KEY_LEN]> {
        crypto::expand(&self.0.prk, &[HANDED_KEY, &purpose.number().to_be_bytes()])
    }

    fn named_in(&self, header: &Header) -> bool {
        header.subject == self.0.subject && header.unit == self.0.unit
    }

    fn key(&self, purpose: Purpose) -> &DataKey {
        self.0.keys[purpose.index()].get_or_init(|| {
            let number = purpose.number().to_be_bytes();
            let key = crypto::expand::<KEY_LEN>(&self.0.prk, &[DATA_KEY, &number]);
            let commitment = *crypto::expand(&self.0.prk, &[COMMITMENT, &number]);
            Box::new(DataKey { aes: crypto::aes(&key), commitment })
        })
    }

    /// What the tag covers beside the text.
    fn aad(&self, purpose: Purpose, record: Uuid, version: u32) -> [u8; AAD_LEN] {
        let mut aad = [0; AAD_LEN];
        let mut rest = &mut aad[..];
        for part in [
            &header::MAGIC[..],
            self.0.tenant.uuid().as_bytes(),
            self.0.subject.uuid().as_bytes(),
            self.0.unit.uuid().as_bytes(),
            &purpose.number().to_be_bytes(),
            record.as_bytes(),
            &version.to_be_bytes(),
        ] {
            let (here, after) = rest.split_at_mut(part.len());
            here.copy_from_slice(part);
            rest = after;
        }
        aad
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({}, {})", self.0.subject, self.0.unit)
    }
}

/// Where a value under a handed-over key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Whose tenant.
    pub tenant: TenantId,
    /// What the key belongs to: the erasure's id.
    pub unit: Uuid,
    /// What it is.
    pub purpose: Purpose,
    /// The record it stands in.
    pub record: Uuid,
    /// That record's seal version.
    pub version: u32,
}

/// Seals under a key that was handed over, as a census is.
pub fn seal_with(key: &[u8; KEY_LEN], entropy: &Entropy, place: Place, plaintext: &[u8]) -> Vec<u8> {
    let sealer = Sealer::of_handed_key(key, place.tenant, place.unit, entropy);
    sealer.seal(place.purpose, place.record, place.version, plaintext)
}

/// Opens what [`seal_with`] sealed.
///
/// # Errors
/// As [`Sealer::open`].
pub fn open_with(key: &[u8; KEY_LEN], place: Place, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    // Opening draws no nonce.
    let sealer = Sealer::of_handed_key(key, place.tenant, place.unit, &Entropy::system());
    sealer.open(place.purpose, place.record, place.version, sealed)
}
