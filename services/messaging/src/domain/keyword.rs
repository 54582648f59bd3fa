//! STOP and START, in many languages. A message that is nothing but such a word takes the contact off, or back onto,
//! the list of those who may be written to.
//!
//! Words are compared after folding: NFKC, case, points of Arabic and Hebrew, punctuation and emoji go, runs of spaces
//! become one. Accents may be left out too, but not in Vietnamese, where they tell words apart: `dừng` is stop, `Dũng` is
//! a name.

use std::{collections::HashMap, sync::LazyLock};

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::keyword_table::WORDS;

/// What a contact asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Keyword {
    /// No more messages.
    Stop,
    /// Messages are welcome again.
    Start,
}

/// Longest text that can be a keyword, in bytes: all others are not looked at.
const LONGEST: usize = 96;

/// In this language accents tell words apart.
const ACCENTED: &str = "vie";

/// Whether accents of Latin, Greek and Cyrillic stay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accents {
    Stay,
    Go,
}

static WITH_ACCENTS: LazyLock<HashMap<String, Keyword>> = LazyLock::new(|| folded(Accents::Stay));
static WITHOUT_ACCENTS: LazyLock<HashMap<String, Keyword>> = LazyLock::new(|| folded(Accents::Go));

fn folded(accents: Accents) -> HashMap<String, Keyword> {
    let languages = WORDS.iter().filter(|(language, _, _)| accents == Accents::Stay || *language != ACCENTED);
    languages
        .flat_map(|(_, stop, start)| {
            let stop = stop.iter().map(|word| (word, Keyword::Stop));
            stop.chain(start.iter().map(|word| (word, Keyword::Start)))
        })
        .map(|(word, keyword)| (fold(word, accents), keyword))
        .collect()
}

impl Keyword {
    /// The keyword that `text` is.
    pub(crate) fn of(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let exact = WITH_ACCENTS.get(&fold(text, Accents::Stay));
        exact.or_else(|| WITHOUT_ACCENTS.get(&fold(text, Accents::Go))).copied()
    }
}

/// The text that its spellings have in common.
fn fold(text: &str, accents: Accents) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.nfkc().flat_map(char::to_lowercase).nfkd() {
        match c {
            '\u{300}'..='\u{36f}' if accents == Accents::Go => {}
            // The points of Hebrew and Arabic (hamza and tatweel too) are often left out.
            '\u{591}'..='\u{5c7}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}' => {}
            'ß' => folded.push_str("ss"),
            'ς' => folded.push('σ'),
            'ı' => folded.push('i'),
            // Persian and Arabic keyboards write one letter in two ways.
            'ي' | 'ى' => folded.push('ی'),
            'ك' => folded.push('ک'),
            'ة' => folded.push('ه'),
            c if c.is_whitespace() && !folded.is_empty() && !folded.ends_with(' ') => folded.push(' '),
            // A mark belongs to the letter before it; one behind an emoji or a sign belongs to nothing.
            c if is_combining_mark(c)
                && !is_variation_selector(c)
                && folded.chars().next_back().is_some_and(|before| before != ' ') =>
            {
                folded.push(c);
            }
            c if c.is_alphanumeric() => folded.push(c),
            _ => {}
        }
    }
    folded.truncate(folded.trim_end().len());
    folded.nfc().collect()
}

fn is_variation_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{20d0}'..='\u{20ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_every_language_is_obeyed_however_it_is_written() {
        for (language, stop, start) in WORDS {
            assert!(!stop.is_empty() && !start.is_empty(), "{language}");
            for (words, keyword) in [(stop, Keyword::Stop), (start, Keyword::Start)] {
                for word in *words {
                    let variants = [
                        word.to_string(),
                        word.to_uppercase(),
                        format!("  {word}!\n"),
                        format!("«{word}» 🙏"),
                    ];
                    for text in variants {
                        assert_eq!(Keyword::of(&text), Some(keyword), "{language}: {text}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_word_means_both_and_none_is_empty() {
        let mut seen: HashMap<String, (Keyword, &str)> = HashMap::new();
        for (language, stop, start) in WORDS {
            let stop = stop.iter().map(|word| (word, Keyword::Stop));
            for (word, keyword) in stop.chain(start.iter().map(|word| (word, Keyword::Start))) {
                let folded = fold(word, Accents::Stay);
                assert!(!folded.is_empty() && word.len() <= LONGEST - 16, "{language}: {word}");
                let (other, whose) = *seen.entry(folded).or_insert((keyword, language));
                assert_eq!(other, keyword, "{word} means both in {language} and {whose}");
            }
        }
    }

    #[test]
    fn the_languages_of_the_data_are_there() {
        let there: Vec<&str> = WORDS.iter().map(|(language, _, _)| *language).collect();
        for language in [
            "eng", "deu", "fra", "spa", "ita", "pol", "rus", "ukr", "ell", "arb", "heb", "pes", "hin", "ben",
            "tam", "tha", "vie", "cmn", "jpn", "kor", "tur", "hun", "fin", "swe", "ces", "por", "ind", "swh",
            "amh", "kat", "nld",
        ] {
            assert!(there.contains(&language), "{language}");
        }
    }

    #[test]
    fn a_sentence_with_the_word_in_it_is_no_keyword() {
        for text in [
            "",
            " ",
            "!",
            "please stop by tomorrow",
            "stop it",
            "not stop",
            "don't stop",
            "startled",
            "stop2",
            "Dũng",
            "dung",
            "Huy",
        ] {
            assert_eq!(Keyword::of(text), None, "{text}");
        }
        assert_eq!(Keyword::of(&"stop ".repeat(40)), None);
        assert_eq!(Keyword::of("ＳＴＯＰ"), Some(Keyword::Stop));
        assert_eq!(Keyword::of("ΔΙΑΚΟΠΗ"), Some(Keyword::Stop));
        assert_eq!(Keyword::of("İPTAL"), Some(Keyword::Stop));
        assert_eq!(Keyword::of("Désinscription"), Keyword::of("DESINSCRIPTION"));
        assert_eq!(Keyword::of("stop ✋🏽❤️"), Some(Keyword::Stop));
        assert_eq!(Keyword::of("إيقاف"), Some(Keyword::Stop));
        assert_eq!(Keyword::of("ايقاف"), Some(Keyword::Stop));
    }
}
