//! Pages of a list: how many, and after which. A key is a pair of time and id, the order of nearly every list;
//! on the wire it is opaque bytes, which the gateway seals before anybody outside sees them.

use bytes::Bytes;
use lethe_proto::request::Page;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Failure;

/// How many a page may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u32);

impl Limit {
    /// What 0 means.
    pub const DEFAULT: u32 = 50;
    /// The most.
    pub const MAX: u32 = 200;

    /// The limit that `page` asks for.
    ///
    /// # Errors
    /// INVALID_ARGUMENT at `page.limit` when it is over 200.
    pub fn of(page: Option<&Page>) -> Result<Self, Failure> {
        match page.map_or(0, |page| page.limit) {
            0 => Ok(Self(Self::DEFAULT)),
            limit @ 1..=Self::MAX => Ok(Self(limit)),
            _ => Err(Failure::invalid("page.limit", "must be between 1 and 200")),
        }
    }

    /// As a count of things in memory.
    pub fn get(self) -> usize {
        self.0 as usize
    }

    /// One more than the limit, for SQL: the extra row tells that there is a next page.
    pub fn and_one(self) -> i64 {
        i64::from(self.0) + 1
    }
}

/// Where a page ended: the last row's time and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageKey {
    /// The time that the list is ordered by, to the microsecond.
    pub at: OffsetDateTime,
    /// Tells rows of one instant apart.
    pub id: Uuid,
}

/// The first byte of an encoded key.
const FORMAT: u8 = 1;

impl PageKey {
    /// The key that `page.after` holds; `None` for the first page.
    ///
    /// # Errors
    /// INVALID_ARGUMENT at `page.after` for bytes that were not made by [`PageKey::encode`].
    pub fn of(page: Option<&Page>) -> Result<Option<Self>, Failure> {
        let after = page.map(|page| &page.after[..]).unwrap_or_default();
        if after.is_empty() { Ok(None) } else { Self::decode(after).map(Some) }
    }

    /// Format byte, microseconds since 1970 (8, big-endian), id (16).
    pub fn encode(self) -> Bytes {
        let micros = i64::try_from(self.at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX);
        let mut bytes = Vec::with_capacity(25);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&micros.to_be_bytes());
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.into()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Failure> {
        let wrong = || Failure::invalid("page.after", "is not a cursor of this list");
        let (format, rest) = bytes.split_first().ok_or_else(wrong)?;
        let (micros, id) = rest.split_first_chunk::<8>().ok_or_else(wrong)?;
        if *format != FORMAT {
            return Err(wrong());
        }
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(i64::from_be_bytes(*micros)) * 1_000)
            .map_err(|_| wrong())?;
        Ok(Self { at, id: Uuid::from_slice(id).map_err(|_| wrong())? })
    }
}

/// Cuts the extra row off that was read with [`Limit::and_one`]; answers the key of the next page, empty at the end.
pub fn next<T>(rows: &mut Vec<T>, limit: Limit, key: impl Fn(&T) -> PageKey) -> Bytes {
    if rows.len() <= limit.get() {
        return Bytes::new();
    }
    rows.truncate(limit.get());
    rows.last().map(|row| key(row).encode()).unwrap_or_default()
}
