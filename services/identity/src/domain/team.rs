//! Teams: their names.

use super::{Invalid, text};

const LONGEST_NAME: usize = 100;

/// A team's name: 1 to 100 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamName(String);

impl TeamName {
    /// Checks one.
    ///
    /// # Errors
    /// Names `field`.
    pub fn parse(field: &'static str, name: &str) -> Result<Self, Invalid> {
        text(field, name, LONGEST_NAME).map(Self)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_to_a_hundred_characters() {
        assert_eq!(TeamName::parse("name", " Süd ").unwrap().as_str(), "Süd");
        assert!(TeamName::parse("name", &"ü".repeat(100)).is_ok());
        for bad in ["", " ", "a\u{7}", &"ü".repeat(101)] {
            assert_eq!(TeamName::parse("name", bad).unwrap_err().field, "name");
        }
    }
}
