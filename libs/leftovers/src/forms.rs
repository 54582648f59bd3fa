//! The forms in which a text may lie on a disk without being compressed: as it is, in lower case, in base64 at each of
//! its three alignments, in hex, in UTF-16, escaped for JSON or a URL.

use std::collections::HashSet;

/// How a token was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// As it is, in UTF-8.
    Plain,
    /// In lower case.
    LowerCase,
    /// Inside base64, of either alphabet.
    Base64,
    /// In hex digits.
    Hex,
    /// UTF-16, little end first.
    Utf16Le,
    /// UTF-16, big end first.
    Utf16Be,
    /// With JSON's escapes.
    Json,
    /// With the escapes of a URL.
    Percent,
    /// All of it in its order, a few bytes strewn in, as compressors leave it.
    Pieces,
    /// Compressed by PostgreSQL (pglz): what stands there unpacks to it.
    Pglz,
    /// All its terms in one segment of a search index.
    Terms,
}

/// Shortest pattern that is looked for, in bytes.
pub(crate) const SHORTEST: usize = 7;

/// Every form of a text, each with the bytes it lies there as.
pub(crate) fn encode(text: &str) -> Vec<(Form, Vec<u8>)> {
    let lower = text.to_lowercase();
    let mut forms =
        vec![(Form::Plain, text.as_bytes().to_vec()), (Form::LowerCase, lower.as_bytes().to_vec())];
    for text in [text, &lower] {
        let bytes = text.as_bytes();
        for dummies in 0..3 {
            for alphabet in base64_alphabets() {
                forms.push((Form::Base64, base64_inside(bytes, bytes.len() * 8, dummies, alphabet)));
            }
        }
        for digits in [b"0123456789abcdef", b"0123456789ABCDEF"] {
            forms.push((Form::Hex, hex(bytes, digits)));
            forms.push((Form::Json, json(text, digits, false)));
            forms.push((Form::Json, json(text, digits, true)));
            forms.push((Form::Percent, percent(bytes, digits)));
        }
        forms.push((Form::Utf16Le, text.encode_utf16().flat_map(u16::to_le_bytes).collect()));
        forms.push((Form::Utf16Be, text.encode_utf16().flat_map(u16::to_be_bytes).collect()));
    }
    let mut seen = HashSet::new();
    forms.retain(|(_, bytes)| bytes.len() >= SHORTEST && seen.insert(bytes.clone()));
    forms
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The digits that stand in base64 for the first `known` bits of `bytes` wherever `dummies` bytes (mod 3) precede them:
/// those that depend on nothing else.
pub(crate) fn base64_inside(bytes: &[u8], known: usize, dummies: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let first = (dummies * 8).div_ceil(6);
    let last = (dummies * 8 + known) / 6;
    let bit = |at: usize| match at.checked_sub(dummies * 8) {
        Some(at) => bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1),
        None => false,
    };
    (first..last)
        .map(|digit| {
            let value = (0..6).fold(0, |value, at| value << 1 | usize::from(bit(digit * 6 + at)));
            alphabet[value]
        })
        .collect()
}

/// What `count` bytes the base64 digits beginning at `digits` stand for; less where the digits end.
pub(crate) fn base64_decode(digits: &[u8], count: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(count);
    let (mut bits, mut held) = (0_u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            // Broken into lines, as in mail.
            b'\r' | b'\n' => continue,
            _ => break,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xff) as u8);
            if out.len() == count {
                break;
            }
        }
    }
    out
}

pub(crate) fn base64_alphabets() -> [&'static [u8; 64]; 2] {
    [STANDARD, URL_SAFE]
}

fn hex(bytes: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]).collect()
}

/// What `count` bytes the hex digits beginning at `digits` stand for; less where the digits end.
pub(crate) fn hex_decode(digits: &[u8], count: usize) -> Vec<u8> {
    digits
        .chunks_exact(2)
        .take(count)
        .map_while(|pair| {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            u8::try_from(high << 4 | low).ok()
        })
        .collect()
}

/// As a JSON string has it; with `all`, everything that is not ASCII is escaped, and the slash.
fn json(text: &str, digits: &[u8; 16], all: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '/' if all => out.extend_from_slice(b"\\/"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            c if u32::from(c) < 0x20 || (all && !c.is_ascii()) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(b"\\u");
                    out.extend(hex(&unit.to_be_bytes(), digits));
                }
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

fn percent(bytes: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(*byte);
        } else {
            out.push(b'%');
            out.extend(hex(&[*byte], digits));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, form: Form) -> Vec<String> {
        encode(text)
            .into_iter()
            .filter(|(which, _)| *which == form)
            .map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }

    #[test]
    fn base64_is_known_at_each_alignment() {
        // "foobar" behind nothing, "x" and "xx", whole (RFC 4648) and cut to what no neighbour changes.
        assert_eq!(base64_inside(b"foobar", 48, 0, STANDARD), b"Zm9vYmFy");
        assert_eq!(base64_inside(b"xfoobar", 56, 0, STANDARD), b"eGZvb2Jhc");
        assert_eq!(base64_inside(b"foobar", 48, 1, STANDARD), b"Zvb2Jhc");
        assert_eq!(base64_inside(b"xxfoobar", 64, 0, STANDARD), b"eHhmb29iYX");
        assert_eq!(base64_inside(b"foobar", 48, 2, STANDARD), b"mb29iYX");
        assert_eq!(base64_inside(&[0xff; 3], 24, 0, URL_SAFE), b"____");
    }

    #[test]
    fn decoding_undoes_encoding_and_stops_where_digits_end() {
        assert_eq!(base64_decode(b"Zm9v\r\nYmFy*", 100), b"foobar");
        assert_eq!(base64_decode(b"Zm9vYmFy", 4), b"foob");
        assert_eq!(hex_decode(b"4c5448zz", 9), b"LTH");
    }

    #[test]
    fn a_text_has_these_forms() {
        let wanted = ["Grüße/\\\"8\\\"", "Gr\\u00fc\\u00dfe\\/\\\"8\\\"", "Gr\\u00FC\\u00DFe\\/\\\"8\\\""];
        assert_eq!(of("Grüße/\"8\"", Form::Json)[..3], wanted);
        assert_eq!(of("Ada Lovelace", Form::LowerCase), ["ada lovelace"]);
        assert_eq!(of("a b@c.de", Form::Percent), ["a%20b%40c.de"]);
        assert!(of("ada", Form::Plain).is_empty(), "too short");
        // What is the same as an earlier form is not looked for twice.
        assert!(of("lowercase", Form::LowerCase).is_empty());
        assert!(of("lowercase", Form::Json).is_empty());
    }
}
