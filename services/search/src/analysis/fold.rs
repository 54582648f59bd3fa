//! One spelling for what people write in many: NFKC, case, digits, letters that keyboards mix up, signs without a sound.
//! Each folded character remembers which characters of the text it came from, so that highlights point there.

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// A character after folding, and where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Folded {
    pub(super) character: char,
    /// The first character of its cluster in the text (Unicode scalar values).
    pub(super) start: u32,
    /// One past the cluster's last.
    pub(super) end: u32,
}

/// The folded characters of `text`. Clusters are folded one by one: nothing composes across their borders.
pub(super) fn fold(text: &str) -> Vec<Folded> {
    if text.is_ascii() {
        let fold = |(byte, start): (&u8, u32)| Folded {
            character: char::from(byte.to_ascii_lowercase()),
            start,
            end: start + 1,
        };
        return text.as_bytes().iter().zip(0..).map(fold).collect();
    }
    let mut folded = Vec::with_capacity(text.len());
    let mut start = 0;
    for cluster in text.graphemes(true) {
        let before = folded.len();
        let end = start + if cluster.len() == 1 { 1 } else { count(cluster) };
        if let &[byte] = cluster.as_bytes() {
            folded.push(Folded { character: char::from(byte.to_ascii_lowercase()), start, end });
        } else {
            let cased = cluster.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
            for character in cased.nfkc() {
                let last = folded[before..].last().map(|f: &Folded| f.character);
                if let Some(character) = replace(character, last) {
                    folded.push(Folded { character, start, end });
                }
            }
        }
        start = end;
    }
    folded
}

fn count(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

/// What stands for `character` in the index; nothing for a sign that is left out.
fn replace(character: char, before: Option<char>) -> Option<char> {
    Some(match character {
        // The dot that Turkish capital İ leaves behind.
        '\u{307}' if before == Some('i') => return None,
        // In Arabic script the non-joiner stands between parts of a word that others write with a space.
        '\u{200c}' if before.is_some_and(|c| ('\u{600}'..='\u{6ff}').contains(&c)) => ' ',
        // Soft hyphen, joiners, directions, variation selectors, byte order mark.
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => return None,
        '\u{2060}'..='\u{2064}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' => return None,
        // Arabic vowels and the stretching stroke, Hebrew points: mostly not written.
        '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e8}' => {
            return None;
        }
        '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}' => {
            return None;
        }
        // Arabic and Persian keyboards write one letter in several ways.
        'أ' | 'إ' | 'آ' | 'ٱ' => 'ا',
        'ي' | 'ى' => 'ی',
        'ك' => 'ک',
        'ة' => 'ه',
        other => digit(other),
    })
}

/// Where the digits of other scripts begin: each has its ten in a row.
const ZEROS: [u32; 16] = [
    0x660, 0x6f0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xed0, 0xf20, 0x1040,
    0x17e0,
];

fn digit(character: char) -> char {
    let code = u32::from(character);
    let value = ZEROS.iter().find_map(|zero| code.checked_sub(*zero).filter(|value| *value < 10));
    value.and_then(|value| char::from_digit(value, 10)).unwrap_or(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_count_characters_of_the_text() {
        let folded = fold("a\u{301}ﬁ한x");
        let spans: Vec<_> = folded.iter().map(|f| (f.character, f.start, f.end)).collect();
        assert_eq!(spans, [('á', 0, 2), ('f', 2, 3), ('i', 2, 3), ('한', 3, 4), ('x', 4, 5)]);
    }

    #[test]
    fn the_short_way_is_the_same_way() {
        let ascii: String = (0..128).map(char::from).collect();
        let long_way = fold(&format!("{ascii}é"));
        assert_eq!(fold(&ascii)[..], long_way[..128]);
    }

    #[test]
    fn digits_of_all_scripts_are_digits() {
        let text: String = ZEROS.iter().filter_map(|zero| char::from_u32(zero + 7)).collect();
        assert!(fold(&text).iter().all(|f| f.character == '7'));
    }
}
