//! What a folded character is to the index.

use unicode_normalization::char::is_combining_mark;

/// The classes whose runs are units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Space, punctuation, control: between units.
    Break,
    /// Of a script that separates words.
    Word,
    /// Of a script that does not, or of Hangul.
    Unspaced,
    /// A pictograph: a unit of its own.
    Symbol,
}

/// The class of a folded character.
pub(super) fn class(character: char) -> Class {
    if character.is_ascii() {
        return if character.is_ascii_alphanumeric() { Class::Word } else { Class::Break };
    }
    if !character.is_alphanumeric() && !is_combining_mark(character) {
        return if is_pictograph(character) { Class::Symbol } else { Class::Break };
    }
    if is_unspaced(character) { Class::Unspaced } else { Class::Word }
}

/// Whether those who write this letter often leave out its marks: Latin, Greek, Cyrillic.
pub(super) fn marks_are_optional(character: char) -> bool {
    matches!(u32::from(character), 0..=0x52f | 0x1e00..=0x1fff)
}

/// A letter whose stroke is no mark of its own in Unicode, without it.
pub(super) fn without_stroke(character: char) -> char {
    match character {
        'đ' => 'd',
        'ł' => 'l',
        'ø' => 'o',
        'ħ' => 'h',
        'ŧ' => 't',
        other => other,
    }
}

fn is_unspaced(character: char) -> bool {
    matches!(u32::from(character),
        0xe00..=0xeff       // Thai, Lao
        | 0xf00..=0xfff     // Tibetan
        | 0x1000..=0x109f   // Myanmar
        | 0x1100..=0x11ff   // Hangul letters
        | 0x1780..=0x17ff   // Khmer
        | 0x1950..=0x19df   // Tai Le, New Tai Lue
        | 0x1a20..=0x1aaf   // Tai Tham
        | 0x1b00..=0x1b7f   // Balinese
        | 0x3005..=0x3007   // ideographic iteration mark, closing mark, zero
        | 0x3021..=0x303c
        | 0x3041..=0x318f   // kana, Bopomofo, Hangul letters
        | 0x31a0..=0x31ff
        | 0x3400..=0x4dbf   // Han
        | 0x4e00..=0x9fff
        | 0xa000..=0xa4cf   // Yi
        | 0xa960..=0xa9df   // Hangul letters, Javanese
        | 0xa9e0..=0xa9ff   // Myanmar
        | 0xaa60..=0xaadf   // Myanmar, Tai Viet
        | 0xac00..=0xd7ff   // Hangul
        | 0xf900..=0xfaff   // Han
        | 0x1b000..=0x1b16f // kana
        | 0x20000..=0x3347f // Han
    )
}

fn is_pictograph(character: char) -> bool {
    matches!(u32::from(character), 0x2600..=0x27bf | 0x2b50..=0x2b55 | 0x1f000..=0x1faff)
}
