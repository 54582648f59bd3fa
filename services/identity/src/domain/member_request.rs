//! What a member asks about his own data, and how it is answered.

use lethe_proto::identity::{MemberRequestKind, MemberRequestRefusal, MemberRequestState};

use super::Invalid;

const LONGEST: usize = 2_000;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To be erased (Art. 17).
    Erasure = 1,
    /// That the data is not used (Art. 21).
    Objection = 2,
}

impl Kind {
    /// Reads a request's.
    ///
    /// # Errors
    /// Names `field`.
    pub fn parse(field: &'static str, number: i32) -> Result<Self, Invalid> {
        Self::of(number).ok_or(Invalid::new(field, "must be erasure or objection"))
    }

    /// From the database.
    pub fn of(number: i32) -> Option<Self> {
        [Self::Erasure, Self::Objection].into_iter().find(|kind| *kind as i32 == number)
    }

    /// As callers see it.
    pub fn proto(self) -> MemberRequestKind {
        match self {
            Self::Erasure => MemberRequestKind::Erasure,
            Self::Objection => MemberRequestKind::Objection,
        }
    }

    /// For the audit log.
    pub fn word(self) -> String {
        word(self.proto().as_str_name(), "MEMBER_REQUEST_KIND_")
    }
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody has answered yet.
    Open,
    /// Done as asked.
    Granted,
    /// Not done, and why.
    Refused(MemberRequestRefusal),
}

impl State {
    /// Reads an answer: granted, or refused with a reason.
    ///
    /// # Errors
    /// Names the field: `state` or `refusal`.
    pub fn answer(state: i32, refusal: i32) -> Result<Self, Invalid> {
        let because = MemberRequestRefusal::try_from(refusal)
            .ok()
            .filter(|refusal| *refusal != MemberRequestRefusal::Unspecified);
        match (MemberRequestState::try_from(state), because, refusal) {
            (Ok(MemberRequestState::Granted), _, 0) => Ok(Self::Granted),
            (Ok(MemberRequestState::Granted), ..) => Err(Invalid::new("refusal", "belongs to refused alone")),
            (Ok(MemberRequestState::Refused), Some(because), _) => Ok(Self::Refused(because)),
            (Ok(MemberRequestState::Refused), None, _) => {
                Err(Invalid::new("refusal", "must say why it is refused"))
            }
            _ => Err(Invalid::new("state", "must be granted or refused")),
        }
    }

    /// From the database.
    pub fn of(state: i16, refusal: Option<i16>) -> Option<Self> {
        match (state, refusal) {
            (1, None) => Some(Self::Open),
            (2, None) => Some(Self::Granted),
            (3, Some(refusal)) => MemberRequestRefusal::try_from(i32::from(refusal)).ok().map(Self::Refused),
            _ => None,
        }
    }

    /// As callers see it.
    pub fn proto(self) -> (MemberRequestState, MemberRequestRefusal) {
        match self {
            Self::Open => (MemberRequestState::Open, MemberRequestRefusal::Unspecified),
            Self::Granted => (MemberRequestState::Granted, MemberRequestRefusal::Unspecified),
            Self::Refused(because) => (MemberRequestState::Refused, because),
        }
    }

    /// The state's number.
    pub fn number(self) -> i16 {
        self.proto().0 as i16
    }

    /// The number of the reason, if it is refused.
    pub fn refusal(self) -> Option<i16> {
        match self {
            Self::Refused(because) => Some(because as i16),
            Self::Open | Self::Granted => None,
        }
    }

    /// For the audit log and the copy of one's own data: `refused_legal_claims`.
    pub fn word(self) -> String {
        let (state, refusal) = self.proto();
        let state = word(state.as_str_name(), "MEMBER_REQUEST_STATE_");
        match self {
            Self::Refused(_) => {
                format!("{state}_{}", word(refusal.as_str_name(), "MEMBER_REQUEST_REFUSAL_"))
            }
            Self::Open | Self::Granted => state,
        }
    }
}

fn word(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase()
}

/// Somebody's own words, on several lines: at most 2,000 characters. Empty: `None`.
///
/// # Errors
/// Names `field`.
pub fn words(field: &'static str, text: &str) -> Result<Option<String>, Invalid> {
    let text = text.replace("\r\n", "\n");
    let text = text.trim();
    if text.chars().count() > LONGEST {
        return Err(Invalid::new(field, "is too long"));
    }
    if text.chars().any(|letter| letter.is_control() && !matches!(letter, '\n' | '\t')) {
        return Err(Invalid::new(field, "must not hold control characters"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_its_number() {
        for kind in [Kind::Erasure, Kind::Objection] {
            assert_eq!(Kind::parse("kind", kind.proto().into()), Ok(kind));
        }
        for wrong in [0, 3, -1, i32::MAX] {
            assert_eq!(Kind::parse("kind", wrong).unwrap_err().field, "kind");
        }
    }

    #[test]
    fn an_answer_is_granted_or_refused_for_a_reason() {
        assert_eq!(State::answer(2, 0), Ok(State::Granted));
        assert_eq!(State::answer(3, 3), Ok(State::Refused(MemberRequestRefusal::LegalClaims)));
        for (state, refusal, field) in [
            (0, 0, "state"),
            (1, 0, "state"),
            (4, 1, "state"),
            (2, 1, "refusal"),
            (2, 99, "refusal"),
            (3, 0, "refusal"),
            (3, 6, "refusal"),
        ] {
            assert_eq!(State::answer(state, refusal).unwrap_err().field, field, "{state} {refusal}");
        }
    }

    #[test]
    fn a_state_survives_its_row() {
        let refused = (1..=5).map(|number| State::answer(3, number).unwrap());
        for state in [State::Open, State::Granted].into_iter().chain(refused) {
            assert_eq!(State::of(state.number(), state.refusal()), Some(state));
        }
        assert_eq!(State::answer(3, 3).unwrap().word(), "refused_legal_claims");
        for corrupt in [(0, None), (3, None), (2, Some(1)), (3, Some(9))] {
            assert_eq!(State::of(corrupt.0, corrupt.1), None);
        }
    }

    #[test]
    fn words_have_lines_and_an_end() {
        assert_eq!(words("grounds", " two\r\nlines\t.\n"), Ok(Some("two\nlines\t.".to_owned())));
        assert_eq!(words("grounds", " \n "), Ok(None));
        assert!(words("grounds", &"ä".repeat(2_000)).is_ok());
        for wrong in ["ä".repeat(2_001), "bell\u{7}".to_owned()] {
            assert_eq!(words("grounds", &wrong).unwrap_err().field, "grounds");
        }
    }
}
