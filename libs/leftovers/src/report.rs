//! What a search came to: what was found, what was looked at, and what could not be.

use std::{collections::BTreeMap, fmt};

use crate::{Form, Harvest};

/// Where something was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The store, as the caller named it.
    pub store: String,
    /// File, table, stream or segment in it; then the compressed streams that were opened.
    pub path: String,
    /// How many bytes into the innermost of them.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} at {}", self.store, self.path, self.offset)
    }
}

/// A token that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The token's label.
    pub token: String,
    /// In which form.
    pub form: Form,
    /// Where first.
    pub place: Place,
    /// How often in this form and path.
    pub count: u64,
}

/// Something that could not be looked at. While there is any, nothing was proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// What.
    pub place: Place,
    /// Why.
    pub why: String,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Looked {
    /// Files.
    pub files: u64,
    /// Bytes of files.
    pub bytes: u64,
    /// Compressed streams that gave anything.
    pub streams: u64,
    /// Bytes unpacked from them.
    pub unpacked: u64,
    /// Tables dumped.
    pub tables: u64,
    /// Rows in them.
    pub rows: u64,
    /// Messages of streams.
    pub messages: u64,
    /// Terms, columns and stored fields of search indexes.
    pub index_pieces: u64,
    /// Files that were gone before they could be read.
    pub vanished: u64,
}

/// What a search came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Tokens found, one entry for each form and path.
    pub findings: Vec<Finding>,
    /// What could not be looked at.
    pub unread: Vec<Unread>,
    /// How much was looked at.
    pub looked: Looked,
    /// By store: bytes of files, and of what its own reader gave.
    pub stores: BTreeMap<String, u64>,
    /// Sealed headers and wrapped keys that were seen.
    pub harvest: Harvest,
}

impl Report {
    /// Findings of one token.
    pub fn of<'a>(&'a self, label: &'a str) -> impl Iterator<Item = &'a Finding> {
        self.findings.iter().filter(move |finding| finding.token == label)
    }
}
