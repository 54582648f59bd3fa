//! From text to the words that are indexed, sought and highlighted: one analysis for all three, in every script.
//!
//! Scripts with spaces give words: runs of letters, marks and digits. Scripts without (Han, kana, Thai, Lao, Khmer,
//! Myanmar, Tibetan, ...) and Hangul, whose particles cling to the word, give characters and pairs of them, so that any
//! piece of such a run is found. A piece between spaces in a query is a phrase; all phrases must occur.
//!
//! Beside each word stand its stems in the languages the text may be in (`language`), at the same place. So the other
//! forms of a word are found too, and the word as it was typed always is.
//!
//! Engines get terms with positions; none analyses by itself, so that all of them find the same.

mod fold;
mod highlight;
mod language;
mod script;

use std::collections::{BTreeMap, HashMap};

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use fold::Folded;
pub use highlight::highlight;
use language::Languages;
use script::Class;

/// Counts up when the same text gives other terms: an index of another version is rebuilt.
pub const VERSION: u32 = 3;

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

/// Terms that must stand at these distances from each other: the distance from the beginning in positions, and the term.
/// Never empty.
pub type Terms = Vec<(u32, String)>;

/// Words that must stand together, as they were typed or in other forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    /// As typed.
    pub exact: Terms,
    /// The same in stems, once for each language that has other forms for one of them.
    pub inflected: Vec<Terms>,
    /// How many positions it takes.
    pub length: u32,
}

impl Phrase {
    /// All forms: one of them must occur.
    pub fn forms(&self) -> impl Iterator<Item = &Terms> {
        std::iter::once(&self.exact).chain(&self.inflected)
    }
}

/// What is sought: all phrases must occur. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    /// In the order of the query.
    pub phrases: Vec<Phrase>,
}

impl Sought {
    /// All words as typed and in a row; nothing when there is but one.
    pub fn in_a_row(&self) -> Option<Terms> {
        let (mut terms, mut begin) = (Terms::new(), 0);
        for phrase in &self.phrases {
            terms.extend(phrase.exact.iter().map(|(offset, term)| (begin + offset, term.clone())));
            begin += phrase.length;
        }
        (terms.len() > 1).then_some(terms)
    }
}

/// The terms of a text, by position.
pub fn tokens(text: &str) -> Vec<Token> {
    let units = units(text);
    let words: Vec<String> = units.iter().map(Unit::word).collect();
    let languages = Languages::of(words.iter().map(String::as_str));
    let mut tokens = Vec::with_capacity(text.len() / 2);
    // A word that comes again has the stems that it had.
    let mut known: HashMap<String, Vec<String>> = HashMap::new();
    for (unit, word) in units.iter().zip(words) {
        let (first, last) = (&unit.characters[0], &unit.characters[unit.characters.len() - 1]);
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
                for form in without_marks(&word).into_iter().chain([word]) {
                    let stems = || languages.stems(&form).map(|(_, stem)| stem).collect();
                    let stems = known.entry(form.clone()).or_insert_with(stems);
                    tokens.extend(stems.iter().map(|stem| token(stem.clone(), unit.position.0, first, last)));
                    tokens.push(token(form, unit.position.0, first, last));
                }
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
    let (mut exact, mut length) = (Terms::new(), 0);
    // By language: the places in `exact` that have a stem, and the stem.
    let mut stems: BTreeMap<usize, Vec<(usize, String)>> = BTreeMap::new();
    for unit in units(piece) {
        length =
            unit.position.0 + if unit.class == Class::Unspaced { unit.characters.len() as u32 } else { 1 };
        match unit.class {
            Class::Unspaced if unit.characters.len() > 1 => {
                for (at, pair) in unit.position.zip_with(&unit.characters[1..]) {
                    let term = unit.characters[pair..pair + 2].iter().map(|c| c.character).collect();
                    exact.push((at, term));
                }
            }
            _ => {
                let word = unit.word();
                for (language, stem) in Languages::all().stems(&word) {
                    stems.entry(language).or_default().push((exact.len(), stem));
                }
                exact.push((unit.position.0, word));
            }
        }
    }
    let inflect = |stems: Vec<(usize, String)>| {
        let mut terms = exact.clone();
        for (at, stem) in stems {
            terms[at].1 = stem;
        }
        terms
    };
    let inflected = stems.into_values().map(inflect).collect();
    (!exact.is_empty()).then_some(Phrase { exact, inflected, length })
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

impl Unit {
    fn word(&self) -> String {
        self.characters.iter().take(LONGEST_WORD).map(|c| c.character).collect()
    }
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
        tokens(text).into_iter().map(|t| t.term).filter(|term| !term.contains(':')).collect()
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
        assert_eq!(sought.phrases[0].exact, [(0, "self".to_owned()), (1, "governing".to_owned())]);
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
            ("café", "the cafe is on the left"),
            ("gov-self", "self-gov"),
            ("two three", "one two"),
            ("手机iPhone", "iPhone手机"),
        ] {
            assert!(!finds(query, text), "{query} not in {text}");
        }
    }

    #[test]
    fn the_other_forms_of_a_word_are_found_in_its_language() {
        for (query, text) in [
            ("cancelling", "I want to cancel my order"),
            ("cancel", "The order was CANCELLED by you"),
            ("refunds", "refund"),
            ("Bestellung", "Wo sind meine Bestellungen?"),
            ("remboursées", "elle a été remboursée par la banque"),
            ("pedidos", "quiero cancelar mi pedido"),
            ("ordini", "vorrei annullare il mio ordine"),
            ("encomendas", "quero cancelar a minha encomenda"),
            ("bestellingen", "ik wil mijn bestelling annuleren"),
            ("beställningar", "jag vill avbryta min beställning"),
            ("tilaukset", "haluan perua tilauksen, mutta en voi"),
            ("zamówienia", "chcę anulować moje zamówienie"),
            ("objednávky", "chci zrušit moji objednávku, ale ne tu"),
            ("siparişler", "bir sipariş için yazıyorum"),
            ("заказы", "я хочу отменить мой заказ"),
            ("λογαριασμοί", "πού είναι ο λογαριασμός μου"),
            ("الطلبات", "أين الطلب من فضلك"),
            ("सवालों", "मेरा सवाल यह है"),
            // Two forms in one piece, and a piece of several words.
            ("gift-cards", "I have a gift card, a gift-card!"),
            ("self-governed", "it is self-governing"),
        ] {
            assert!(finds(query, text), "{query} in {text}");
        }
        // Of another language, a number, or in another order.
        for (query, text) in [
            ("car", "please take care of this and of me"),
            ("4711s", "order 4711"),
            ("governing-selves", "it is self-governing"),
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
