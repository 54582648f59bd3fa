//! Snappy's framing and its extension S2, which NATS compresses with: blocks of at most 4 MiB, each unpacked on its own.
//! S2 adds copies that repeat the last offset; no crate of ours reads those, so this does. Checksums are not looked at:
//! a leftover in a torn block is a leftover.

use std::io::{self, Read};

/// What a framed stream begins with; then the name.
pub(crate) const MAGIC: [u8; 4] = [0xff, 0x06, 0x00, 0x00];
pub(crate) const NAMES: [&[u8; 6]; 2] = [b"sNaPpY", b"S2sTwO"];

/// Largest block that is unpacked, in bytes: S2's own limit.
const LARGEST: usize = 4 << 20;

/// Reads the unpacked bytes of a framed stream.
pub(crate) struct Frames<R> {
    inner: R,
    block: Vec<u8>,
    at: usize,
}

impl<R: Read> Frames<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, block: Vec::new(), at: 0 }
    }

    /// Reads the next chunk; `false` at the end.
    fn next(&mut self) -> io::Result<bool> {
        let mut head = [0; 4];
        match self.inner.read(&mut head[..1])? {
            0 => return Ok(false),
            _ => self.inner.read_exact(&mut head[1..])?,
        }
        let length = usize::from(head[1]) | usize::from(head[2]) << 8 | usize::from(head[3]) << 16;
        let mut chunk = vec![0; length];
        self.inner.read_exact(&mut chunk)?;
        self.at = 0;
        self.block = match head[0] {
            0x00 => unpack(chunk.get(4..).ok_or_else(bad)?)?,
            0x01 => chunk.split_off(chunk.len().min(4)),
            // Stream identifier, padding, and what may be skipped.
            0x80..=0xff => Vec::new(),
            _ => return Err(bad()),
        };
        Ok(true)
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let count = out.len().min(self.block.len() - self.at);
        out[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn bad() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a snappy or S2 block")
}

/// Unpacks a block.
///
/// # Errors
/// When it is none, or a large one.
pub fn unpack(block: &[u8]) -> io::Result<Vec<u8>> {
    let mut input = Input { bytes: block, at: 0 };
    let length = input.varint()?;
    if length > LARGEST {
        return Err(bad());
    }
    let mut out = Vec::with_capacity(length);
    let mut offset = 0;
    while input.at < block.len() {
        let tag = input.byte()?;
        let count = match tag & 3 {
            0 => {
                let count = match tag >> 2 {
                    short @ 0..=59 => usize::from(short),
                    long => input.little(usize::from(long) - 59)?,
                } + 1;
                if out.len() + count > length {
                    return Err(bad());
                }
                out.extend_from_slice(input.take(count)?);
                continue;
            }
            1 => {
                let count = usize::from(tag >> 2 & 7);
                let near = usize::from(tag & 0xe0) << 3 | usize::from(input.byte()?);
                if near != 0 {
                    offset = near;
                    count + 4
                } else {
                    // The last offset again.
                    match count {
                        5 => input.little(1)? + 8,
                        6 => input.little(2)? + (1 << 8) + 4,
                        7 => input.little(3)? + (1 << 16) + 4,
                        short => short + 4,
                    }
                }
            }
            wide => {
                offset = input.little(if wide == 2 { 2 } else { 4 })?;
                usize::from(tag >> 2) + 1
            }
        };
        if offset == 0 || offset > out.len() || out.len() + count > length {
            return Err(bad());
        }
        for _ in 0..count {
            out.push(out[out.len() - offset]);
        }
    }
    if out.len() == length { Ok(out) } else { Err(bad()) }
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..count)).ok_or_else(bad)?;
        self.at += count;
        Ok(taken)
    }

    fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn little(&mut self, count: usize) -> io::Result<usize> {
        Ok(self.take(count)?.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte)))
    }

    fn varint(&mut self) -> io::Result<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(bad())
    }
}
