//! Where an erasure stands.

use std::{fmt, str::FromStr};

/// The states of an erasure, in the order in which it passes them. The texts are stored and sent on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Counted, waits for the confirmation.
    Requested,
    /// Confirmed, being fenced.
    Confirmed,
    /// Every participant is fenced and the ledger's entry durable; being purged.
    Fenced,
    /// Every participant has purged; being verified.
    Purged,
    /// Absence was re-read; being certified.
    Verified,
    /// Certified. Will be verified again.
    Certified,
    /// Verified again after the wait and certified a second time. The end.
    ReVerified,
    /// Cancelled before the fence. The end.
    Cancelled,
}

impl State {
    const ALL: [Self; 8] = [
        Self::Requested,
        Self::Confirmed,
        Self::Fenced,
        Self::Purged,
        Self::Verified,
        Self::Certified,
        Self::ReVerified,
        Self::Cancelled,
    ];

    /// Its text in the database and on the bus.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Confirmed => "confirmed",
            Self::Fenced => "fenced",
            Self::Purged => "purged",
            Self::Verified => "verified",
            Self::Certified => "certified",
            Self::ReVerified => "re_verified",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether somebody said yes: only such an erasure moves by itself.
    pub fn is_confirmed(self) -> bool {
        !matches!(self, Self::Requested | Self::Cancelled)
    }

    /// Whether nothing moves it any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::ReVerified | Self::Cancelled)
    }

    /// Whether whose it was stands only as a commitment in the certificate.
    pub fn is_certified(self) -> bool {
        matches!(self, Self::Certified | Self::ReVerified)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.text() == text).ok_or(UnknownState)
    }
}

/// A text that is no state: only a damaged or newer database has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown state of an erasure")]
pub struct UnknownState;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_one_text() {
        for state in State::ALL {
            assert_eq!(state.text().parse(), Ok(state));
        }
        assert_eq!("gone".parse::<State>(), Err(UnknownState));
    }
}
