//! How much of a person an erasure reaches.

use std::str::FromStr;

/// The modes. The texts are stored, and stand in the ledger and in certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All that every participant holds about the contact.
    Everything,
    /// One conversation; the contact lives on.
    Conversation,
    /// The contact without its messages: they move to a fresh anonymous subject.
    ContactOnly,
    /// All e-mail that the contact has at the moment of the fence; the contact lives on.
    Email,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Everything, Self::Conversation, Self::ContactOnly, Self::Email];

    /// Its text.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Conversation => "conversation",
            Self::ContactOnly => "contact_only",
            Self::Email => "email",
        }
    }

    /// Whether the contact itself goes, and nothing of it is taken in any more.
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::Everything | Self::ContactOnly)
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        Self::ALL.into_iter().find(|mode| mode.text() == text).ok_or(UnknownMode)
    }
}

/// A text that is no mode: only a damaged or newer database has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown mode of an erasure")]
pub struct UnknownMode;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_has_one_text() {
        for mode in Mode::ALL {
            assert_eq!(mode.text().parse(), Ok(mode));
        }
        assert_eq!("all".parse::<Mode>(), Err(UnknownMode));
    }
}
