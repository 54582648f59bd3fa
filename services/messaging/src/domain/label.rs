//! Labels: a name and a colour of the tenant's own, and how many something may carry.

use lethe_ids::LabelId;

use super::{
    Invalid,
    text::{Lines, line},
};

/// Most labels on a contact or conversation.
pub(crate) const MOST_CARRIED: usize = 50;
/// Most characters of a name.
pub(crate) const MOST_NAME_CHARACTERS: usize = 64;

/// A label's name: one line, not empty.
///
/// # Errors
/// [`Invalid`] at `name`.
pub(crate) fn name(text: &str) -> Result<String, Invalid> {
    let name = line("name", text, MOST_NAME_CHARACTERS, Lines::One)?;
    if name.is_empty() { Err(Invalid::new("name", "is empty")) } else { Ok(name) }
}

/// A label's colour as CSS has it, `#rrggbb`, in lower case.
///
/// # Errors
/// [`Invalid`] at `colour`.
pub(crate) fn colour(text: &str) -> Result<String, Invalid> {
    let digits = text.strip_prefix('#').unwrap_or_default();
    if digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(Invalid::new("colour", "must be # and six hex digits"))
    }
}

/// The labels that something is to carry, each once.
///
/// # Errors
/// [`Invalid`] at `field`, or at the one that is no id.
pub(crate) fn label_ids(field: &str, given: &[String]) -> Result<Vec<LabelId>, Invalid> {
    if given.len() > MOST_CARRIED {
        return Err(Invalid::new(field, format!("has more than {MOST_CARRIED} labels")));
    }
    let mut ids: Vec<LabelId> = Vec::with_capacity(given.len());
    for (number, text) in given.iter().enumerate() {
        let id = text.parse().map_err(|error: lethe_ids::NotAnId| {
            Invalid::new(format!("{field}[{number}]"), error.to_string())
        })?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_colours_are_bounded() {
        assert_eq!(name(" VIP ").as_deref(), Ok("VIP"));
        assert!(name(&"ü".repeat(64)).is_ok());
        for wrong in ["", "  ", "a\nb", &"ü".repeat(65)] {
            assert_eq!(name(wrong).map_err(|e| e.field), Err("name".to_owned()), "{wrong:?}");
        }
        assert_eq!(colour("#A0b1C2").as_deref(), Ok("#a0b1c2"));
        for wrong in ["", "a0b1c2", "#a0b1c", "#a0b1c2d", "#a0b1cg", "#äää"] {
            assert_eq!(colour(wrong).map_err(|e| e.field), Err("colour".to_owned()), "{wrong:?}");
        }
    }
}
