//! From text to the words that are indexed, sought and highlighted: one analysis for all three, in every script.
//!
//! Scripts with spaces give words: runs of letters, marks and digits. Scripts without (Han, kana, Thai, Lao, Khmer,
//! Myanmar, Tibetan, ...) and Hangul, whose particles cling to the word, give characters and pairs of them, so that any
//! piece of such a run is found. A piece between spaces in a query is a phrase; all phrases must occur.
//!
//! Engines get terms with positions; none analyses by itself, so that all of them find the same.

mod fold;
mod highlight;
mod script;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use fold::Folded;
pub use highlight::highlight;
use script::Class;

/// Counts up when the same text gives other terms: an index of another version is rebuilt.
pub const VERSION: u32 = 1;

/// Longer words are cut, in texts as in queries. In characters.
const LONGEST_WORD: usize = 64;

/// A term and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What is indexed.
    pub term: String,
    /// Which word of the text it is; two forms of one word share it.
    pub position: u32,
    /// The first character of it in the text (Unicode scalar values).
    pub start: u32,
    /// One past its last character.
    pub end: u32,
}

/// Terms that must stand at these distances from each other. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    /// The distance from the phrase's beginning in positions, and the term.
    pub terms: Vec<(u32, String)>,
}

/// What is sought: all phrases must occur. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    /// In the order of the query.
    pub phrases: Vec<Phrase>,
}

/// The terms of a text, by position.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len() / 4);
    for unit in units(text) {
        match unit.class {
            Class::Unspaced => {
                for (at, pair) in unit.position.zip_with(&unit.characters) {
                    let first = &unit.characters[pair];
                    tokens.push(token(first.character.to_string(), at, first, first));
                    if let Some(second) = unit.characters.get(pair + 1) {
                        let term = [first.character, second.character].iter().collect();
                        tokens.push(token(term, at, first, second));
                    }
                }
            }
            Class::Word | Class::Symbol | Class::Break => {
                let word: String = unit.characters.iter().take(LONGEST_WORD).map(|c| c.character).collect();
                let (first, last) = (&unit.characters[0], &unit.characters[unit.characters.len() - 1]);
                if let Some(plain) = without_marks(&word) {
                    tokens.push(token(plain, unit.position.0, first, last));
                }
                tokens.push(token(word, unit.position.0, first, last));
            }
        }
    }
    tokens
}

/// What a query seeks; nothing when it has no word.
pub fn sought(query: &str) -> Option<Sought> {
    let phrases: Vec<Phrase> = query.split_whitespace().filter_map(phrase).collect();
    (!phrases.is_empty()).then_some(Sought { phrases })
}

fn phrase(piece: &str) -> Option<Phrase> {
    let mut terms = Vec::new();
    for unit in units(piece) {
        match unit.class {
            Class::Unspaced if unit.characters.len() > 1 => {
                for (at, pair) in unit.position.zip_with(&unit.characters[1..]) {
                    let term = unit.characters[pair..pair + 2].iter().map(|c| c.character).collect();
                    terms.push((at, term));
                }
            }
            _ => {
                let word = unit.characters.iter().take(LONGEST_WORD).map(|c| c.character).collect();
                terms.push((unit.position.0, word));
            }
        }
    }
    (!terms.is_empty()).then_some(Phrase { terms })
}

fn token(term: String, position: u32, first: &Folded, last: &Folded) -> Token {
    Token { term, position, start: first.start, end: last.end }
}

/// A word, a run without spaces or a symbol, and the position where it begins.
struct Unit {
    class: Class,
    position: Position,
    characters: Vec<Folded>,
}

#[derive(Clone, Copy)]
struct Position(u32);

impl Position {
    /// The positions of a run's characters, each with its index in the run.
    fn zip_with(self, run: &[Folded]) -> impl Iterator<Item = (u32, usize)> + use<> {
        (self.0..).zip(0..run.len())
    }
}

fn units(text: &str) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut next = 0;
    let mut open = false;
    for folded in fold::fold(text) {
        let class = script::class(folded.character);
        match units.last_mut() {
            Some(unit) if open && class == unit.class && class != Class::Symbol => {
                next += u32::from(class == Class::Unspaced);
                unit.characters.push(folded);
            }
            _ => {
                open = class != Class::Break;
                if open {
                    units.push(Unit { class, position: Position(next), characters: vec![folded] });
                    next += 1;
                }
            }
        }
    }
    units
}

/// A word of Latin, Greek or Cyrillic letters as those type it who leave out its marks ("cafe"); nothing when it has none.
fn without_marks(word: &str) -> Option<String> {
    if word.is_ascii() || word.chars().any(|c| !is_combining_mark(c) && !script::marks_are_optional(c)) {
        return None;
    }
    let plain: String = word.nfd().filter(|c| !is_combining_mark(*c)).map(script::without_stroke).collect();
    (plain != word && !plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<String> {
        tokens(text).into_iter().map(|t| t.term).collect()
    }

    /// By the same rule as an engine: every term of every phrase at its distance.
    fn finds(query: &str, text: &str) -> bool {
        sought(query).is_some_and(|sought| highlight(&sought, text).is_some())
    }

    #[test]
    fn words_are_folded_and_pieces_are_phrases() {
        assert_eq!(terms("Don't SHOUT, Straße!"), ["don", "t", "shout", "strasse"]);
        assert_eq!(terms("ＦＵＬＬ width ﬁne"), ["full", "width", "fine"]);
        let sought = sought("self-governing  x").unwrap();
        assert_eq!(sought.phrases.len(), 2);
        assert_eq!(sought.phrases[0].terms, [(0, "self".to_owned()), (1, "governing".to_owned())]);
    }

    #[test]
    fn nothing_to_seek_is_nothing() {
        for query in ["", "  ", "…?!", "\u{200b}"] {
            assert_eq!(sought(query), None, "{query:?}");
        }
    }

    #[test]
    fn scripts_are_found_as_people_type_them() {
        for (query, text) in [
            ("cafe", "ein Café am Eck"),
            ("café", "ein CAFÉ am Eck"),
            ("nguoi", "mọi người"),
            ("duong", "đường"),
            ("ΟΔΟΣ", "η οδός"),
            ("istanbul", "İSTANBUL'da"),
            ("ISTANBUL", "istanbul"),
            ("人权", "世界人权宣言"),
            ("水", "喝水吗"),
            ("カタカナ", "ｶﾀｶﾅ です"),
            ("ガス", "ｶﾞｽ"),
            ("학교", "학교에서 만나요"),
            ("สิทธิ", "ทุกคนมีสิทธิในการดำรงชีวิต"),
            ("iPhone手机", "我的iPhone手机坏了"),
            ("كتاب", "كِتَابٌ جديد"),
            ("شلום", "x شلום"),
            ("שלום", "שָׁלוֹם"),
            ("می خواهم", "می\u{200c}خواهم"),
            ("विश्व", "पूरे विश्व में"),
            ("order 4711", "Order ٤٧١١"),
            ("😀", "gut 😀😀"),
            ("example", "https://example.com/a"),
        ] {
            assert!(finds(query, text), "{query} in {text}");
        }
        for (query, text) in [
            ("权人", "世界人权宣言"),
            ("café", "cafe"),
            ("gov-self", "self-gov"),
            ("two three", "one two"),
            ("手机iPhone", "iPhone手机"),
        ] {
            assert!(!finds(query, text), "{query} not in {text}");
        }
    }

    #[test]
    fn a_long_word_is_cut_alike_on_both_sides() {
        let word = "x".repeat(500);
        assert_eq!(terms(&word), [word[..LONGEST_WORD].to_owned()]);
        assert!(finds(&word, &format!("a {word} b")));
    }
}
