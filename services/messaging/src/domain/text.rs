//! Text that people wrote: how long it may be, and which characters a field of a profile may hold.

use lethe_ambient::Sensitive;

use super::Invalid;

/// Most characters (Unicode scalar values) of a message.
pub(crate) const MOST_CHARACTERS: usize = 16_384;
/// Most bytes of a message in UTF-8.
pub(crate) const MOST_BYTES: usize = 64 * 1024;

/// The text of a message: 1 to 16,384 characters, at most 64 KiB. Taken as it is: whatever a person wrote is kept.
#[derive(Clone)]
pub(crate) struct MessageText(Sensitive<String>);

impl MessageText {
    /// Checks the length.
    ///
    /// # Errors
    /// [`Invalid`] at `text`.
    pub(crate) fn new(text: String) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::new("text", "is empty"));
        }
        // A text that is short in bytes is short in characters: most are not counted.
        if text.len() > MOST_BYTES || (text.len() > MOST_CHARACTERS && text.chars().count() > MOST_CHARACTERS)
        {
            return Err(Invalid::new("text", "has more than 16,384 characters or 64 KiB"));
        }
        Ok(Self(Sensitive::new(text)))
    }

    /// What was written.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// Most characters of a rating's comment.
pub(crate) const MOST_COMMENT_CHARACTERS: usize = 2_000;

/// The comment of a rating, trimmed; empty is allowed.
///
/// # Errors
/// [`Invalid`] at `comment`.
pub(crate) fn comment(text: &str) -> Result<zeroize::Zeroizing<String>, Invalid> {
    line("comment", text, MOST_COMMENT_CHARACTERS, Lines::Many).map(zeroize::Zeroizing::new)
}

/// One line (or several, where `lines` are allowed) of at most `most` characters, trimmed. Empty is allowed.
///
/// # Errors
/// [`Invalid`] at `field`.
pub(super) fn line(field: &str, text: &str, most: usize, lines: Lines) -> Result<String, Invalid> {
    let text = text.trim();
    if text.chars().count() > most {
        return Err(Invalid::new(field, format!("has more than {most} characters")));
    }
    let wrong = |c: char| match lines {
        Lines::One => is_control(c),
        Lines::Many => is_control(c) && c != '\n',
    };
    if text.chars().any(wrong) {
        return Err(Invalid::new(field, "holds control characters"));
    }
    Ok(text.to_owned())
}

/// Whether a field may hold line feeds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    One,
    Many,
}

/// Controls, and the marks that turn the direction of what stands around a name.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_bounded_in_characters_and_bytes() {
        assert!(MessageText::new(String::new()).is_err());
        assert!(MessageText::new("a".repeat(MOST_CHARACTERS)).is_ok());
        assert!(MessageText::new("a".repeat(MOST_CHARACTERS + 1)).is_err());
        // 4 bytes each: the limit of characters and of bytes meet.
        assert!(MessageText::new("🙂".repeat(MOST_CHARACTERS)).is_ok());
        assert!(MessageText::new("🙂".repeat(MOST_CHARACTERS + 1)).is_err());
        assert!(MessageText::new("line\n\ttab\u{0}".into()).is_ok());
    }

    #[test]
    fn a_line_holds_no_controls() {
        assert_eq!(line("name", "  Ada ", 3, Lines::One).as_deref(), Ok("Ada"));
        assert!(line("name", "Adas", 3, Lines::One).is_err());
        assert_eq!(line("name", "Zoë 王", 5, Lines::One).as_deref(), Ok("Zoë 王"));
        for wrong in ["a\nb", "a\u{0}b", "a\u{7f}b", "a\u{202e}b", "a\u{2028}b"] {
            assert!(line("name", wrong, 9, Lines::One).is_err(), "{wrong:?}");
        }
        assert!(line("address", "a\nb", 9, Lines::Many).is_ok());
        assert!(line("address", "a\rb", 9, Lines::Many).is_err());
    }
}
