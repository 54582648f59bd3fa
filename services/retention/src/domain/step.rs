//! The steps of an erasure, and which of them may be done next.
//!
//! A step is a row. It is done once for the erasure or once for each participant, may be tried any number of times, and
//! knows why it waits. Which step comes when is decided here and nowhere else.

use std::{borrow::Cow, fmt, str::FromStr};

use time::OffsetDateTime;

use super::State;

/// What is to be done, in the order of the design's section 5. The texts are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The erasure's own key for censuses exists. The point of no return is passed just before.
    CensusKey,
    /// A participant refuses writers and has frozen its census.
    Fence,
    /// The rights ledger's entry is durable.
    Ledger,
    /// A participant has destroyed and deleted.
    Purge,
    /// A participant has read its stores again.
    Verify,
    /// The certificate is signed.
    Certify,
    /// A participant has read its stores again, later.
    ReVerify,
    /// The key of the censuses is destroyed.
    DestroyCensusKey,
    /// The second certificate is signed, and what still tied the erasure to the person is forgotten.
    ReCertify,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::CensusKey,
        Self::Fence,
        Self::Ledger,
        Self::Purge,
        Self::Verify,
        Self::Certify,
        Self::ReVerify,
        Self::DestroyCensusKey,
        Self::ReCertify,
    ];

    /// Its text in the database and in signals.
    pub const fn text(self) -> &'static str {
        match self {
            Self::CensusKey => "census_key",
            Self::Fence => "fence",
            Self::Ledger => "ledger",
            Self::Purge => "purge",
            Self::Verify => "verify",
            Self::Certify => "certify",
            Self::ReVerify => "re_verify",
            Self::DestroyCensusKey => "destroy_census_key",
            Self::ReCertify => "re_certify",
        }
    }

    /// Whether each participant does it, or retention once.
    pub const fn is_participants(self) -> bool {
        matches!(self, Self::Fence | Self::Purge | Self::Verify | Self::ReVerify)
    }
}

impl FromStr for Step {
    type Err = UnknownStep;

    fn from_str(text: &str) -> Result<Self, UnknownStep> {
        Self::ALL.into_iter().find(|step| step.text() == text).ok_or(UnknownStep)
    }
}

/// A text that is no step: only a damaged or newer database has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown step of an erasure")]
pub struct UnknownStep;

/// Why a step waits: capitals, digits and underscores, at most 64 of them. Never free text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code(Cow<'static, str>);

impl Code {
    /// Nobody has confirmed yet.
    pub const CONFIRMATION: Self = Self(Cow::Borrowed("CONFIRMATION"));
    /// Another participant, or the ledger, comes first.
    pub const OTHERS: Self = Self(Cow::Borrowed("OTHERS"));
    /// The time to verify again has not come.
    pub const RE_VERIFICATION_DUE: Self = Self(Cow::Borrowed("RE_VERIFICATION_DUE"));
    /// Something of the census is still there: purged again first.
    pub const FOUND_AFTER_PURGE: Self = Self(Cow::Borrowed("FOUND_AFTER_PURGE"));
    /// The participant's answer left out what it had in its census.
    pub const ANSWER_INCOMPLETE: Self = Self(Cow::Borrowed("ANSWER_INCOMPLETE"));
    /// The participant answered what cannot be.
    pub const ANSWER_MALFORMED: Self = Self(Cow::Borrowed("ANSWER_MALFORMED"));
    /// The rights ledger could not be written.
    pub const LEDGER_UNAVAILABLE: Self = Self(Cow::Borrowed("LEDGER_UNAVAILABLE"));
    /// The key for censuses could not be made, opened or destroyed.
    pub const KEYSTORE_UNAVAILABLE: Self = Self(Cow::Borrowed("KEYSTORE_UNAVAILABLE"));
    /// The certificate's key is not valid today.
    pub const SIGNING_KEY_NOT_VALID: Self = Self(Cow::Borrowed("SIGNING_KEY_NOT_VALID"));
    /// A legal hold stands in the way; goes on by itself when it is released.
    pub const LEGAL_HOLD: Self = Self(Cow::Borrowed("LEGAL_HOLD"));
    /// A participant that does not answer, or answers without a reason.
    pub const UNAVAILABLE: Self = Self(Cow::Borrowed("UNAVAILABLE"));

    /// A participant's reason, where it is a code; else [`Code::UNAVAILABLE`].
    pub fn of_reason(reason: &str) -> Self {
        let is_code = (1..=64).contains(&reason.len())
            && reason.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
        if is_code { Self(Cow::Owned(reason.to_owned())) } else { Self::UNAVAILABLE }
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A step's row, as far as the order is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// What is to be done.
    pub step: Step,
    /// By which participant, counted from 0 in the order of fencing; `None` for retention's own steps.
    pub participant: Option<usize>,
    /// When it was done, if it was.
    pub done_at: Option<OffsetDateTime>,
    /// Tries so far.
    pub attempts: u32,
    /// Why it waits.
    pub waits_for: Option<Code>,
    /// Not tried before.
    pub next_attempt_at: Option<OffsetDateTime>,
}

/// What an erasure does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try the step at this index.
    Try(usize),
    /// Nothing before this instant.
    Wait(OffsetDateTime),
    /// All steps of the state are done: enter the next one.
    Enter(State),
    /// Nothing ever again without a person.
    Rest,
}

/// The steps that are done in a state, and the state that follows.
fn of_state(state: State) -> Option<(&'static [Step], State)> {
    Some(match state {
        State::Confirmed => (&[Step::CensusKey, Step::Fence, Step::Ledger], State::Fenced),
        State::Fenced => (&[Step::Purge], State::Purged),
        State::Purged => (&[Step::Purge, Step::Verify], State::Verified),
        State::Verified => (&[Step::Certify], State::Certified),
        State::Certified => {
            (&[Step::Purge, Step::ReVerify, Step::DestroyCensusKey, Step::ReCertify], State::ReVerified)
        }
        State::Requested | State::ReVerified | State::Cancelled => return None,
    })
}

/// Decides what an erasure in `state` with these steps does at `now`.
pub fn next(state: State, stages: &[Stage], now: OffsetDateTime) -> Next {
    let Some((steps, following)) = of_state(state) else { return Next::Rest };
    let mut open = stages
        .iter()
        .enumerate()
        .filter(|(_, stage)| stage.done_at.is_none() && steps.contains(&stage.step))
        .peekable();
    if open.peek().is_none() {
        return Next::Enter(following);
    }
    let ready = open.filter(|(_, stage)| is_ready(state, stages, stage));
    match ready.min_by_key(|(index, stage)| (stage.next_attempt_at, stage.step, *index)) {
        Some((index, stage)) => match stage.next_attempt_at {
            Some(at) if at > now => Next::Wait(at),
            _ => Next::Try(index),
        },
        None => Next::Rest,
    }
}

/// Whether all that must come before this step is done.
pub fn is_ready(state: State, stages: &[Stage], stage: &Stage) -> bool {
    let done = |step: Step| stages.iter().filter(|s| s.step == step).all(|s| s.done_at.is_some());
    let done_by = |step: Step, participant| {
        stages.iter().filter(|s| s.step == step && s.participant == participant).all(|s| s.done_at.is_some())
    };
    let in_state = of_state(state).is_some_and(|(steps, _)| steps.contains(&stage.step));
    in_state
        && match stage.step {
            Step::CensusKey | Step::Certify => true,
            // messaging first: it is who takes messages in, so that nobody after it is handed new ones.
            Step::Fence => {
                done(Step::CensusKey) && (stage.participant == Some(0) || done_by(Step::Fence, Some(0)))
            }
            Step::Ledger => done(Step::Fence),
            // The barrier: all fences are committed and the ledger's entry is durable before any secret dies.
            Step::Purge => done(Step::Fence) && done(Step::Ledger),
            Step::Verify | Step::ReVerify => done_by(Step::Purge, stage.participant),
            Step::DestroyCensusKey => done(Step::ReVerify) && done(Step::Purge),
            Step::ReCertify => done(Step::DestroyCensusKey),
        }
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-05 10:00 UTC);

    fn stages(participants: usize) -> Vec<Stage> {
        let blank = |step, participant| Stage {
            step,
            participant,
            done_at: None,
            attempts: 0,
            waits_for: None,
            next_attempt_at: None,
        };
        Step::ALL
            .into_iter()
            .flat_map(|step| match step.is_participants() {
                true => (0..participants).map(|p| blank(step, Some(p))).collect(),
                false => vec![blank(step, None)],
            })
            .collect()
    }

    fn find(stages: &mut [Stage], step: Step, participant: Option<usize>) -> &mut Stage {
        stages.iter_mut().find(|s| s.step == step && s.participant == participant).unwrap()
    }

    /// Runs to the end and writes down what was done.
    fn run(stages: &mut [Stage]) -> Vec<String> {
        let (mut state, mut story) = (State::Confirmed, Vec::new());
        loop {
            match next(state, stages, NOW) {
                Next::Try(index) => {
                    let stage = &mut stages[index];
                    stage.done_at = Some(NOW);
                    let who = stage.participant.map(|p| format!(" {p}")).unwrap_or_default();
                    story.push(format!("{}{who}", stage.step.text()));
                }
                Next::Enter(following) => {
                    state = following;
                    story.push(format!("-> {state}"));
                }
                Next::Wait(_) => panic!("nothing waits here"),
                Next::Rest => return story,
            }
        }
    }

    #[test]
    fn the_steps_come_in_the_order_of_the_design() {
        assert_eq!(
            run(&mut stages(3)),
            [
                "census_key",
                "fence 0",
                "fence 1",
                "fence 2",
                "ledger",
                "-> fenced",
                "purge 0",
                "purge 1",
                "purge 2",
                "-> purged",
                "verify 0",
                "verify 1",
                "verify 2",
                "-> verified",
                "certify",
                "-> certified",
                "re_verify 0",
                "re_verify 1",
                "re_verify 2",
                "destroy_census_key",
                "re_certify",
                "-> re_verified",
            ]
        );
    }

    #[test]
    fn nobody_is_fenced_before_the_first_and_nothing_is_purged_before_all_are() {
        let mut stages = stages(3);
        let later = NOW + Duration::SECOND;
        find(&mut stages, Step::CensusKey, None).done_at = Some(NOW);
        find(&mut stages, Step::Fence, Some(0)).next_attempt_at = Some(later);
        assert_eq!(next(State::Confirmed, &stages, NOW), Next::Wait(later));
        find(&mut stages, Step::Fence, Some(0)).done_at = Some(NOW);
        find(&mut stages, Step::Fence, Some(2)).done_at = Some(NOW);
        let Next::Try(index) = next(State::Confirmed, &stages, NOW) else { panic!() };
        assert_eq!((stages[index].step, stages[index].participant), (Step::Fence, Some(1)));
        find(&mut stages, Step::Fence, Some(1)).next_attempt_at = Some(later);
        assert_eq!(next(State::Confirmed, &stages, NOW), Next::Wait(later));
        assert_eq!(next(State::Fenced, &stages, NOW), Next::Rest, "even in a wrong state");
    }

    #[test]
    fn one_that_waits_does_not_hold_up_the_others() {
        let mut stages = stages(3);
        for stage in &mut stages {
            stage.done_at = (stage.step < Step::Purge).then_some(NOW);
        }
        find(&mut stages, Step::Purge, Some(0)).next_attempt_at = Some(NOW + Duration::SECOND);
        let Next::Try(index) = next(State::Fenced, &stages, NOW) else { panic!() };
        assert_eq!(stages[index].participant, Some(1));
    }

    #[test]
    fn what_was_found_is_purged_again_before_it_is_verified_again() {
        let mut stages = stages(2);
        for stage in &mut stages {
            stage.done_at = (stage.step < Step::Certify).then_some(NOW);
        }
        find(&mut stages, Step::Purge, Some(1)).done_at = None;
        find(&mut stages, Step::Verify, Some(1)).done_at = None;
        assert_eq!(
            run_from(&mut stages, State::Purged)[..3],
            ["purge 1".to_owned(), "verify 1".to_owned(), "-> verified".to_owned()]
        );
    }

    fn run_from(stages: &mut [Stage], state: State) -> Vec<String> {
        let mut story = Vec::new();
        let mut state = state;
        while let Some(line) = match next(state, stages, NOW) {
            Next::Try(index) => {
                stages[index].done_at = Some(NOW);
                Some(format!("{} {}", stages[index].step.text(), stages[index].participant.unwrap_or(9)))
            }
            Next::Enter(following) => {
                state = following;
                Some(format!("-> {state}"))
            }
            _ => None,
        } {
            story.push(line);
        }
        story
    }

    #[test]
    fn only_codes_are_reasons() {
        assert_eq!(Code::of_reason("LEGAL_HOLD_ACTIVE").text(), "LEGAL_HOLD_ACTIVE");
        for text in ["", "no such table: messages", "lower", &"A".repeat(65)] {
            assert_eq!(Code::of_reason(text), Code::UNAVAILABLE);
        }
    }
}
