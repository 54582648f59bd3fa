//! A legal hold: what it is for, and where it stands.

use std::str::FromStr;

/// Why records are held: codes, whose texts are stored. GDPR Art. 17(3)(b) and (e).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldReason {
    /// Litigation, pending or expected: establishment, exercise or defence of legal claims.
    Litigation,
    /// An authority investigates.
    Investigation,
    /// A law says how long the record is kept.
    LegalObligation,
}

impl HoldReason {
    const ALL: [Self; 3] = [Self::Litigation, Self::Investigation, Self::LegalObligation];

    /// Its text.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Litigation => "litigation",
            Self::Investigation => "investigation",
            Self::LegalObligation => "legal_obligation",
        }
    }
}

impl FromStr for HoldReason {
    type Err = UnknownHold;

    fn from_str(text: &str) -> Result<Self, UnknownHold> {
        Self::ALL.into_iter().find(|reason| reason.text() == text).ok_or(UnknownHold)
    }
}

/// Where a hold stands. The texts are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldState {
    /// Asked for; messaging has not answered yet.
    Placing,
    /// Nothing deletes what it holds.
    Active,
    /// Released; messaging has not answered yet.
    Releasing,
    /// It holds nothing any more.
    Released,
}

impl HoldState {
    const ALL: [Self; 4] = [Self::Placing, Self::Active, Self::Releasing, Self::Released];

    /// Its text.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Placing => "placing",
            Self::Active => "active",
            Self::Releasing => "releasing",
            Self::Released => "released",
        }
    }
}

impl FromStr for HoldState {
    type Err = UnknownHold;

    fn from_str(text: &str) -> Result<Self, UnknownHold> {
        Self::ALL.into_iter().find(|state| state.text() == text).ok_or(UnknownHold)
    }
}

/// A text that is no reason or state of a hold: only a damaged or newer database has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown reason or state of a hold")]
pub struct UnknownHold;

/// Whether a case reference is a code: 1 to 64 of `A-Z a-z 0-9 . _ / -`. It stands in the clear, so it names nobody.
pub fn is_case_reference(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_states_have_one_text_and_references_are_codes() {
        for reason in HoldReason::ALL {
            assert_eq!(reason.text().parse(), Ok(reason));
        }
        for state in HoldState::ALL {
            assert_eq!(state.text().parse(), Ok(state));
        }
        assert!(
            is_case_reference("2 O 17/26".replace(' ', "-").as_str()) && is_case_reference(&"A".repeat(64))
        );
        for wrong in ["", "Smith v. Acme", &"A".repeat(65), "ä"] {
            assert!(!is_case_reference(wrong), "{wrong}");
        }
    }
}
