//! Where a page of messages ended: the conversation and the sequence, or the last id.

use bytes::Bytes;
use lethe_proto::request::Page;
use uuid::Uuid;

use crate::error::Error;
use lethe_service::{Failure, Limit};

/// The first byte of an encoded position; `PageKey` has another.
const FORMAT: u8 = 2;

/// A place in a list of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    /// The conversation, or the message.
    pub(super) id: Uuid,
    /// The contact's sequence when the message was accepted.
    pub(super) seq: i64,
}

impl Position {
    /// The position that `page.after` holds; `None` for the first page.
    pub(super) fn of(page: Option<&Page>) -> Result<Option<Self>, Error> {
        let after = page.map(|page| &page.after[..]).unwrap_or_default();
        if after.is_empty() {
            return Ok(None);
        }
        Self::decode(after).map(Some).ok_or_else(not_a_cursor)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&FORMAT, rest) = bytes.split_first()? else { return None };
        let (id, seq) = rest.split_first_chunk::<16>()?;
        Some(Self { id: Uuid::from_bytes(*id), seq: i64::from_be_bytes(seq.try_into().ok()?) })
    }

    fn encode(self) -> Bytes {
        let mut bytes = Vec::with_capacity(25);
        bytes.push(FORMAT);
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.into()
    }
}

/// INVALID_ARGUMENT at `page.after`.
pub(super) fn not_a_cursor() -> Error {
    Error::Field(Failure::invalid("page.after", "is not a cursor of this list"))
}

/// Cuts the extra row off that was read with [`Limit::and_one`]; answers the next page's cursor, empty at the end.
pub(super) fn next<T>(rows: &mut Vec<T>, limit: Limit, position: impl Fn(&T) -> Position) -> Bytes {
    if rows.len() <= limit.get() {
        return Bytes::new();
    }
    rows.truncate(limit.get());
    rows.last().map(|row| position(row).encode()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_and_nothing_else_is_one() {
        let position = Position { id: Uuid::from_u128(7), seq: 9 };
        let page = |after: Bytes| Page { limit: 0, after };
        assert_eq!(Position::of(Some(&page(position.encode()))).unwrap(), Some(position));
        assert_eq!(Position::of(None).unwrap(), None);
        for wrong in [&b"\x02"[..], &[1; 25], &[2; 24], &[2; 26]] {
            assert!(Position::of(Some(&page(Bytes::copy_from_slice(wrong)))).is_err(), "{wrong:?}");
        }
    }
}
