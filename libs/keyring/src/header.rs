//! The header that stands before every sealed value, in clear. It names purpose, version and the two secrets, and
//! commits to the key, so that one can say of raw bytes found anywhere whose they were and which key would open them,
//! without the rest of the value. It holds ids only.
//!
//! ```text
//! "LTHS" 01 | purpose 2 | seal version 4 | subject 16 | unit 16 | key commitment 16 | nonce 12 | ciphertext | tag 16
//! ```
//! Numbers are big-endian. The commitment depends on the key and the purpose alone: it says whether a key is the
//! right one even where nonce or ciphertext are damaged or cut off.

use lethe_ids::{SubjectId, UnitId};
use memchr::memmem;
use uuid::Uuid;

use crate::crypto::{COMMITMENT_LEN, NONCE_LEN};

/// What each sealed value begins with; the last byte is the format's version.
pub const MAGIC: [u8; 5] = *b"LTHS\x01";
/// Length of the header, in bytes.
pub const LEN: usize = 5 + 2 + 4 + 16 + 16 + COMMITMENT_LEN + NONCE_LEN;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// Number of the [`crate::Purpose`]; raw bytes may hold one that there is not.
    pub purpose: u16,
    /// The row's seal version.
    pub version: u32,
    /// Whose it is; nil under a handed-over key.
    pub subject: SubjectId,
    /// The unit's secret; the erasure's id under a handed-over key.
    pub unit: UnitId,
    /// What the key commits to.
    pub commitment: [u8; COMMITMENT_LEN],
    /// Of AES-GCM.
    pub nonce: [u8; NONCE_LEN],
}

/// Reads the header that `bytes` begin with, if it is one.
pub fn parse(bytes: &[u8]) -> Option<Header> {
    let (magic, rest) = bytes.split_first_chunk::<5>()?;
    if *magic != MAGIC {
        return None;
    }
    let (purpose, rest) = rest.split_first_chunk()?;
    let (version, rest) = rest.split_first_chunk()?;
    let (subject, rest) = rest.split_first_chunk()?;
    let (unit, rest) = rest.split_first_chunk()?;
    let (commitment, rest) = rest.split_first_chunk()?;
    let (nonce, _) = rest.split_first_chunk()?;
    Some(Header {
        purpose: u16::from_be_bytes(*purpose),
        version: u32::from_be_bytes(*version),
        subject: SubjectId::new(Uuid::from_bytes(*subject)),
        unit: UnitId::new(Uuid::from_bytes(*unit)),
        commitment: *commitment,
        nonce: *nonce,
    })
}

/// Offsets in raw bytes at which a whole header stands. A magic cut off by the end is not reported.
pub fn find(haystack: &[u8]) -> impl Iterator<Item = usize> + '_ {
    memmem::find_iter(haystack, &MAGIC).filter(|at| haystack.len() - at >= LEN)
}

impl Header {
    /// Appends it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.purpose.to_be_bytes());
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(self.subject.uuid().as_bytes());
        out.extend_from_slice(self.unit.uuid().as_bytes());
        out.extend_from_slice(&self.commitment);
        out.extend_from_slice(&self.nonce);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_in_raw_bytes() {
        let header = Header {
            purpose: 2,
            version: 7,
            subject: SubjectId::new(Uuid::from_u128(1)),
            unit: UnitId::new(Uuid::from_u128(2)),
            commitment: [3; 16],
            nonce: [4; 12],
        };
        let mut bytes = b"noise LTHS\x02".to_vec();
        header.write(&mut bytes);
        let second = bytes.len();
        header.write(&mut bytes);
        bytes.extend_from_slice(b"LTHS\x01 cut off");
        let found: Vec<usize> = find(&bytes).collect();
        assert_eq!(found, [11, second]);
        assert_eq!(parse(&bytes[11..]), Some(header));
        assert_eq!(parse(&bytes[11..11 + LEN - 1]), None);
        assert_eq!(second - 11, LEN);
    }
}
