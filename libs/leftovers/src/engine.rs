//! The inner loop: one look at each byte for everything at once. Whatever is sought has seven bytes by which it is
//! recognised; eight bytes are loaded at each offset, a bit table says whether they can be a beginning, and only then is
//! looked closer. Formats (sealed headers, wrapped keys, compressed streams) are recognised by their first byte.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use lethe_keyring::{
    header::{self, Header},
    kms::{BLOB_LEN, BLOB_MAGIC},
    wrapped::{self, Wrapped},
};

use crate::{
    forms::{self, Form},
    pieces,
    streams::Kind,
};

/// Bytes by which a pattern is recognised.
const KEY: usize = 7;
const KEY_BITS: u64 = 0x00ff_ffff_ffff_ffff;
/// Shortest token that is also sought in pieces: one of its 8-byte runs holds a key whatever the phase.
pub(crate) const PIECES_FROM: usize = 13;

/// What was seen, and where in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Token {
        token: usize,
        form: Form,
    },
    Header(Header),
    Wrapped(Wrapped),
    /// A tenant key as the local key service wraps it.
    Blob([u8; BLOB_LEN]),
    Stream(Kind),
}

#[derive(Default)]
struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, key: u64) {
        self.0 = mix(key);
    }
}

const fn mix(key: u64) -> u64 {
    let mixed = (key & KEY_BITS).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 29
}

/// A table of 2^20 bits: which keys there may be.
const TABLE_BITS: u32 = 20;

pub(crate) struct Engine {
    tokens: Vec<Vec<u8>>,
    patterns: Vec<Pattern>,
    keys: HashMap<u64, Vec<Use>, BuildHasherDefault<Plain>>,
    table: Vec<u64>,
    margin: usize,
}

struct Pattern {
    what: What,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy)]
enum What {
    Token {
        token: usize,
        form: Form,
    },
    /// The beginning of a header or wrapped key, in hex.
    Hex,
    /// The same in base64, behind so many bytes.
    Base64 {
        dummies: usize,
    },
}

#[derive(Clone, Copy)]
enum Use {
    /// The key stands at this offset of a pattern.
    Pattern { pattern: usize, at: usize },
    /// The key stands at this offset of a token, which may be in pieces.
    Piece { token: usize, at: usize },
}

impl Engine {
    /// An engine for these texts.
    pub(crate) fn new(texts: &[String]) -> Self {
        let mut patterns = Vec::new();
        for (token, text) in texts.iter().enumerate() {
            for (form, bytes) in forms::encode(text) {
                patterns.push(Pattern { what: What::Token { token, form }, bytes });
            }
        }
        patterns.extend(format_patterns());
        let tokens: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        let longest = patterns.iter().map(|pattern| pattern.bytes.len()).max().unwrap_or(0);
        let in_pieces = tokens.iter().map(|token| pieces::reach(token.len())).max().unwrap_or(0);
        let in_text = 2 * (header::LEN.max(wrapped::LEN).max(BLOB_LEN) + 8);
        let mut engine = Self {
            margin: longest.max(in_pieces).max(in_text),
            keys: HashMap::default(),
            table: vec![0; 1 << (TABLE_BITS - 6)],
            patterns,
            tokens,
        };
        engine.index();
        engine
    }

    /// Context that is needed on either side of an offset, in bytes.
    pub(crate) fn margin(&self) -> usize {
        self.margin
    }

    fn index(&mut self) {
        // A pattern is recognised by its rarest key: tokens often begin alike.
        let mut common: HashMap<u64, usize> = HashMap::new();
        for pattern in &self.patterns {
            for key in pattern.bytes.windows(KEY).map(key_of) {
                *common.entry(key).or_default() += 1;
            }
        }
        let mut uses = Vec::new();
        for (number, pattern) in self.patterns.iter().enumerate() {
            let rarest =
                pattern.bytes.windows(KEY).map(key_of).enumerate().min_by_key(|(_, key)| common[key]);
            if let Some((at, key)) = rarest {
                uses.push((key, Use::Pattern { pattern: number, at }));
            }
        }
        for (token, bytes) in self.tokens.iter().enumerate().filter(|(_, bytes)| bytes.len() >= PIECES_FROM) {
            for (at, key) in bytes.windows(KEY).map(key_of).enumerate() {
                uses.push((key, Use::Piece { token, at }));
            }
        }
        for (key, used) in uses {
            self.keys.entry(key).or_default().push(used);
            let bit = mix(key) >> (64 - TABLE_BITS);
            self.table[(bit >> 6) as usize] |= 1 << (bit & 63);
        }
    }

    /// Looks at the offsets `from..to` of `buffer`, with all of it as context.
    pub(crate) fn look(&self, buffer: &[u8], from: usize, to: usize, out: &mut Vec<(usize, Event)>) {
        let mut shown: Vec<Diagonal> = vec![Diagonal::default(); self.tokens.len()];
        let mut at = from;
        let to = to.min(buffer.len());
        while at < to {
            let eight = load(buffer, at);
            if eight == 0 {
                // No key begins with two zeros.
                at += 7;
                continue;
            }
            let key = eight >> 8;
            let bit = mix(key) >> (64 - TABLE_BITS);
            if self.table[(bit >> 6) as usize] >> (bit & 63) & 1 == 1
                && let Some(uses) = self.keys.get(&key)
            {
                for used in uses {
                    self.closer(buffer, at, *used, &mut shown, out);
                }
            }
            if FIRST[(eight >> 56) as usize]
                && let Some(event) = format_at(&buffer[at..], eight)
            {
                out.push((at, event));
            }
            at += 1;
        }
    }

    fn closer(
        &self,
        buffer: &[u8],
        here: usize,
        used: Use,
        shown: &mut [Diagonal],
        out: &mut Vec<(usize, Event)>,
    ) {
        match used {
            Use::Pattern { pattern, at } => {
                let Pattern { what, bytes } = &self.patterns[pattern];
                let Some(start) = here.checked_sub(at) else { return };
                if !buffer[start..].starts_with(bytes) {
                    return;
                }
                match *what {
                    What::Token { token, form } => out.push((start, Event::Token { token, form })),
                    What::Hex => {
                        let decoded = forms::hex_decode(&buffer[start..], LONGEST_FORMAT);
                        out.extend(decoded_format(&decoded).map(|event| (start, event)));
                    }
                    What::Base64 { dummies } => {
                        let Some(group) = start.checked_sub((dummies * 8).div_ceil(6)) else { return };
                        let decoded = forms::base64_decode(&buffer[group..], LONGEST_FORMAT + dummies);
                        let event = decoded.get(dummies..).and_then(decoded_format);
                        out.extend(event.map(|event| (start, event)));
                    }
                }
            }
            Use::Piece { token, at } => {
                let bytes = &self.tokens[token];
                let shown = &mut shown[token];
                let diagonal = here.wrapping_sub(at);
                // Seen from its other keys already, or whole: then its pattern reports it.
                if shown.last == Some(diagonal) || here < shown.found_until {
                    return;
                }
                shown.last = Some(diagonal);
                if here >= at && buffer[here - at..].starts_with(bytes) {
                    return;
                }
                if let Some(form) = pieces::around(bytes, at, buffer, here) {
                    shown.found_until = here + bytes.len();
                    out.push((here, Event::Token { token, form }));
                }
            }
        }
    }
}

/// What is known of a token in this buffer, so that each occurrence is looked at once.
#[derive(Clone, Copy, Default)]
struct Diagonal {
    last: Option<usize>,
    found_until: usize,
}

fn key_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |key, byte| key << 8 | u64::from(*byte))
}

/// Eight bytes, big-endian; zeros behind the end.
fn load(buffer: &[u8], at: usize) -> u64 {
    match buffer[at..].first_chunk() {
        Some(eight) => u64::from_be_bytes(*eight),
        None => {
            let rest = &buffer[at..];
            key_of(rest) << (8 * (8 - rest.len()))
        }
    }
}

/// The longest of the formats, in bytes.
const LONGEST_FORMAT: usize = if wrapped::LEN > BLOB_LEN { wrapped::LEN } else { BLOB_LEN };

/// The bytes with which a format may begin.
const FIRST: [bool; 256] = {
    let mut first = [false; 256];
    let bytes = [b'L', 0x1f, 0x28, 0x78, b'P', 0xff];
    let mut at = 0;
    while at < bytes.len() {
        first[bytes[at] as usize] = true;
        at += 1;
    }
    first
};

fn format_at(bytes: &[u8], eight: u64) -> Option<Event> {
    if eight >> 40 == 0x4c_5448 {
        return decoded_format(bytes);
    }
    Kind::at(bytes).map(Event::Stream)
}

fn decoded_format(bytes: &[u8]) -> Option<Event> {
    if let Some(header) = header::parse(bytes) {
        return Some(Event::Header(header));
    }
    if let Some(wrapped) = wrapped::parse(bytes) {
        return Some(Event::Wrapped(wrapped));
    }
    let blob: &[u8; BLOB_LEN] = bytes.first_chunk()?;
    blob.starts_with(&BLOB_MAGIC).then_some(Event::Blob(*blob))
}

/// Beginnings of headers and wrapped keys in hex and base64: with what is known of the bytes behind the magic.
fn format_patterns() -> Vec<Pattern> {
    let mut patterns = Vec::new();
    // A header goes on with a purpose below 256, a wrapped secret with a kind below 4, a tenant key with anything.
    for (magic, known) in [(header::MAGIC, 48), (wrapped::MAGIC, 46), (BLOB_MAGIC, 40)] {
        let digits: String = magic.iter().map(|byte| format!("{byte:02x}")).collect();
        for digits in [digits.clone(), digits.to_uppercase()] {
            patterns.push(Pattern { what: What::Hex, bytes: digits.into_bytes() });
        }
        let mut bytes = magic.to_vec();
        bytes.push(0);
        for dummies in 0..3 {
            let inside = forms::base64_inside(&bytes, known, dummies, forms::base64_alphabets()[0]);
            patterns.push(Pattern { what: What::Base64 { dummies }, bytes: inside });
        }
    }
    patterns.retain(|pattern| pattern.bytes.len() >= KEY);
    patterns
}
