//! The census of a fenced contact: the ids of its documents and the number of its rows, frozen and sealed under the
//! erasure's own key. Neither the eraser's nor the verifier's: it is what one is measured by through the other.
//!
//! Layout: format 1, rows (4 bytes, big-endian), documents (4), their ids (16 each, ascending).

use aws_lc_rs::digest::{SHA256, digest};
use lethe_ambient::Entropy;
use lethe_ids::{ErasureId, MessageId, ScopeId, TenantId};
use lethe_keyring::{Place, Purpose, open_with, seal_with};
use uuid::Uuid;

use crate::error::Error;

const FORMAT: u8 = 1;

/// What there was when the fence stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) messages: Vec<MessageId>,
    pub(crate) progress_rows: u64,
}

/// Where a census stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat {
    pub(crate) tenant: TenantId,
    pub(crate) scope: ScopeId,
    pub(crate) erasure: ErasureId,
}

impl Seat {
    fn place(self) -> Place {
        Place {
            tenant: self.tenant,
            unit: self.erasure.uuid(),
            purpose: Purpose::Census,
            record: self.scope.uuid(),
            version: 1,
        }
    }
}

impl Census {
    /// The census sealed, and the SHA-256 of it before that.
    pub(crate) fn seal(&self, key: &[u8; 32], seat: Seat, entropy: &Entropy) -> (Vec<u8>, Vec<u8>) {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
        let mut bytes = vec![FORMAT];
        bytes.extend(u32::try_from(self.progress_rows).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(count(self.messages.len()));
        bytes.extend(self.messages.iter().flat_map(|message| *message.uuid().as_bytes()));
        (seal_with(key, entropy, seat.place(), &bytes), digest(&SHA256, &bytes).as_ref().to_vec())
    }

    /// Opens what was sealed.
    pub(crate) fn open(key: &[u8; 32], seat: Seat, sealed: &[u8]) -> Result<Self, Error> {
        let bytes = open_with(key, seat.place(), sealed).map_err(Error::Census)?;
        Self::read(&bytes).ok_or(Error::Corrupt("a census"))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (&format, rest) = bytes.split_first()?;
        let (rows, rest) = rest.split_first_chunk::<4>()?;
        let (count, ids) = rest.split_first_chunk::<4>()?;
        let (ids, odd) = ids.as_chunks::<16>();
        let whole = format == FORMAT && odd.is_empty() && ids.len() == u32::from_be_bytes(*count) as usize;
        whole.then(|| Self {
            messages: ids.iter().map(|id| MessageId::new(Uuid::from_bytes(*id))).collect(),
            progress_rows: u64::from(u32::from_be_bytes(*rows)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_census_opens_in_its_seat_only() {
        let entropy = Entropy::seeded(1);
        let seat = Seat {
            tenant: TenantId::new(entropy.uuid4()),
            scope: ScopeId::new(entropy.uuid4()),
            erasure: ErasureId::new(entropy.uuid4()),
        };
        let messages = (0..3).map(|_| MessageId::new(entropy.uuid4())).collect();
        let census = Census { messages, progress_rows: 1 };
        let (sealed, digest) = census.seal(&[7; 32], seat, &entropy);
        assert_eq!(digest.len(), 32);
        assert_eq!(Census::open(&[7; 32], seat, &sealed).unwrap(), census);
        assert!(Census::open(&[8; 32], seat, &sealed).is_err());
        let elsewhere = Seat { scope: ScopeId::new(entropy.uuid4()), ..seat };
        assert!(Census::open(&[7; 32], elsewhere, &sealed).is_err());
        for cut in 0..9 {
            assert_eq!(Census::read(&[1, 0, 0, 0, 1, 0, 0, 0, 1][..cut]), None);
        }
    }
}
