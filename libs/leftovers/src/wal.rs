//! PostgreSQL's write-ahead log as the records were written: without the headers that begin each of its pages, which cut a
//! value in two wherever a record goes on behind one (`access/xlog_internal.h`).
//!
//! ```text
//! page header:  magic 2 (0xd1..) | info 2 | timeline 4 | address 8 | remaining 4 | padding 4
//! a segment's first page also has:  system 8 | segment size 4 | page size 4
//! ```

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

const PAGE: u64 = 8192;
const HEADER: u64 = 24;
const FIRST_HEADER: usize = 40;
/// The second byte of the magic number of every version so far; the machine's order is taken to be little-endian.
const MAGIC: u8 = 0xd1;
/// In `info`: the header is that of a segment's first page.
const IS_FIRST: u8 = 2;

/// The records of the segment at `path`, with the first `more` bytes of the one that follows it where that is there; `None` when
/// it is no segment.
pub(crate) fn records(path: &Path, more: u64) -> io::Result<Option<impl Read>> {
    let Some((records, size)) = open(path)? else { return Ok(None) };
    let following = match following(path, size) {
        Some(next) => match open(&next) {
            Ok(following) => following.map(|(records, _)| records),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        },
        None => None,
    };
    let following: Box<dyn Read> = match following {
        Some(records) => Box::new(records.take(more)),
        None => Box::new(io::empty()),
    };
    Ok(Some(records.chain(following)))
}

/// A segment behind its first header, and how long segments are; `None` when the file is none.
fn open(path: &Path) -> io::Result<Option<(Records, u32)>> {
    let mut file = File::open(path)?;
    let mut header = [0; FIRST_HEADER];
    match file.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let number = |at: usize| header[at..].first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let is_segment = header[1] == MAGIC && header[2] & IS_FIRST != 0 && number(36) == Some(PAGE as u32);
    Ok(match number(32) {
        Some(size) if is_segment => Some((Records { file, at: FIRST_HEADER as u64 }, size)),
        _ => None,
    })
}

/// The name of the segment behind this one: timeline, and the number in two parts, eight hexadecimal digits each.
fn following(path: &Path, size: u32) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let part = |from: usize| u64::from_str_radix(name.get(from..from + 8)?, 16).ok();
    let a_log = (1_u64 << 32).checked_div(size.into())?;
    let number = part(8)? * a_log + part(16)? + 1;
    Some(path.with_file_name(format!("{}{:08X}{:08X}", name.get(..8)?, number / a_log, number % a_log)))
}

struct Records {
    file: File,
    /// The offset in the file.
    at: u64,
}

impl Read for Records {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at.is_multiple_of(PAGE) {
            self.at += io::copy(&mut (&mut self.file).take(HEADER), &mut io::sink())?;
        }
        let left = PAGE - self.at % PAGE;
        let most = out.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.file.read(&mut out[..most])?;
        self.at += read as u64;
        Ok(read)
    }
}
