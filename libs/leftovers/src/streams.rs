//! Compressed streams: recognised wherever they begin, in the middle of a file too, and unpacked as far as they go.

use std::io::{BufRead, BufReader, Read};

use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};

use crate::s2;

/// A format that is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Zlib,
    /// RFC 1951, without any mark: tried at the beginning of a file.
    Deflate,
    /// RFC 8878.
    Zstd,
    /// Snappy's framing, S2's too.
    Snappy,
    /// An entry of a ZIP archive, deflated.
    Zip,
}

impl Kind {
    /// The format that may begin here.
    pub(crate) fn at(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1f, 0x8b, 8, flags, ..] if flags & 0xe0 == 0 => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Some(Self::Zlib),
            [b'P', b'K', 3, 4, _, _, _, _, 8, 0, ..] => Some(Self::Zip),
            _ => {
                let name = bytes.strip_prefix(&s2::MAGIC)?;
                s2::NAMES.iter().any(|known| name.starts_with(*known)).then_some(Self::Snappy)
            }
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
            Self::Snappy => "s2",
            Self::Zip => "zip entry",
        }
    }
}

/// Reads what is packed in `inner`, which stands at the stream's first byte.
pub(crate) fn open<'a>(kind: Kind, inner: impl Read + 'a) -> Option<Box<dyn Read + 'a>> {
    let mut inner = BufReader::new(inner);
    Some(match kind {
        Kind::Gzip => Box::new(GzDecoder::new(inner)),
        Kind::Zlib => Box::new(ZlibDecoder::new(inner)),
        Kind::Deflate => Box::new(DeflateDecoder::new(inner)),
        Kind::Zstd => Box::new(ruzstd::decoding::StreamingDecoder::new(inner).ok()?),
        Kind::Snappy => Box::new(s2::Frames::new(inner)),
        Kind::Zip => {
            // PKWARE's APPNOTE, 4.3.7: 30 bytes, the last four of which are the lengths of name and extra field.
            let mut head = [0; 30];
            inner.read_exact(&mut head).ok()?;
            let length = |at: usize| u64::from(u16::from_le_bytes([head[at], head[at + 1]]));
            skip(&mut inner, length(26) + length(28))?;
            Box::new(DeflateDecoder::new(inner))
        }
    })
}

fn skip(inner: &mut impl BufRead, count: u64) -> Option<()> {
    let skipped = std::io::copy(&mut inner.take(count), &mut std::io::sink()).ok()?;
    (skipped == count).then_some(())
}
