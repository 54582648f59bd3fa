//! retention: requests, claims, and what is written down. The order of the steps is the code's own.

use std::{cell::RefCell, collections::HashMap};

use lethe_retention::domain::{self, Next, Stage, Step};
use time::{Duration, OffsetDateTime};

use crate::{
    Bug, Saga,
    state::{Certificates, Outcome, Stand, State, Worker},
};

/// Who takes part, in the order of fencing: messaging, search, retention.
pub(crate) const PARTICIPANTS: usize = 3;

/// The rows of `erasure_steps`: retention's own five, then each step of each participant. The order is that of
/// `store::plan`; `domain::next` goes by the steps' own.
pub(crate) const STAGES: [(Step, Option<usize>); 17] = [
    (Step::CensusKey, None),
    (Step::Ledger, None),
    (Step::Certify, None),
    (Step::DestroyCensusKey, None),
    (Step::ReCertify, None),
    (Step::Fence, Some(0)),
    (Step::Purge, Some(0)),
    (Step::Verify, Some(0)),
    (Step::ReVerify, Some(0)),
    (Step::Fence, Some(1)),
    (Step::Purge, Some(1)),
    (Step::Verify, Some(1)),
    (Step::ReVerify, Some(1)),
    (Step::Fence, Some(2)),
    (Step::Purge, Some(2)),
    (Step::Verify, Some(2)),
    (Step::ReVerify, Some(2)),
];

/// The bits of all rows of a step.
pub(crate) fn bits(step: Step) -> u32 {
    STAGES.iter().enumerate().filter(|(_, stage)| stage.0 == step).map(|(at, _)| 1 << at).sum()
}

/// The bit of one row.
pub(crate) fn bit(step: Step, participant: Option<usize>) -> u32 {
    STAGES.iter().enumerate().filter(|(_, stage)| **stage == (step, participant)).map(|(at, _)| 1 << at).sum()
}

thread_local! {
    /// Answers of `domain::next` by state, rows done and participants that wait: it is pure, and is asked the same some
    /// hundred thousand times.
    static ANSWERS: RefCell<HashMap<(u8, u32, u8), Next>> = RefCell::default();
}

impl Saga {
    pub(crate) fn ask(&self, state: &mut State, erasure: usize) -> Option<()> {
        let may =
            !state.is_fenced(|fences| fences.own) && !state.erasures.iter().any(|e| e.names && e.is_open());
        (may && state.erasures[erasure].stand == Stand::Nothing).then_some(())?;
        state.erasures[erasure].stand = Stand::Asked;
        Some(())
    }

    pub(crate) fn register(&self, state: &mut State, erasure: usize) -> Option<()> {
        (state.erasures[erasure].stand == Stand::Asked).then_some(())?;
        let taken = state.erasures.iter().any(|e| e.names && e.is_open());
        let is_fenced = state.is_fenced(|fences| fences.own);
        let refused = (taken && self.bug != Some(Bug::NoUniqueIndex))
            || (is_fenced && self.bug != Some(Bug::FenceLookedAtFirst));
        state.erasures[erasure].stand = match refused {
            true => Stand::Nothing,
            false => Stand::Row(domain::State::Requested),
        };
        state.erasures[erasure].names = !refused;
        Some(())
    }

    pub(crate) fn confirm(&self, state: &mut State, erasure: usize) -> Option<()> {
        let erasure = &mut state.erasures[erasure];
        (erasure.stand == Stand::Row(domain::State::Requested)).then_some(())?;
        erasure.stand = Stand::Row(domain::State::Confirmed);
        Some(())
    }

    pub(crate) fn cancel(&self, state: &mut State, at: usize) -> Option<()> {
        let erasure = &mut state.erasures[at];
        let early = matches!(
            erasure.stand,
            Stand::Row(domain::State::Requested) | Stand::Row(domain::State::Confirmed)
        );
        let may = !erasure.fencing || self.bug == Some(Bug::CancelAfterFence);
        (early && may).then_some(())?;
        erasure.stand = Stand::Row(domain::State::Cancelled);
        // `store::cancel` counts the token up.
        lose(state, at);
        Some(())
    }

    /// A claim, and the decision. A state that is entered is entered at once: its transaction begins with the claim's
    /// renewal, as does everything else that is written down.
    pub(crate) fn claim(&self, state: &mut State, worker: usize, waits: u8) -> Option<()> {
        (state.workers[worker] == Worker::Idle).then_some(())?;
        // One that is confirmed and not over; there are never two, or a property says so.
        let at = (0..2).find(|at| {
            state.erasures[*at].state().is_some_and(|state| state.is_confirmed() && !state.is_over())
        })?;
        let erasure = &mut state.erasures[at];
        match self.decide(erasure.state()?, erasure.done, waits) {
            Next::Try(stage) => {
                lose(state, at);
                state.workers[worker] =
                    Worker::Tries { erasure: at as u8, stage: stage as u8, commits: 0, holds: true };
            }
            Next::Enter(following) => {
                erasure.stand = Stand::Row(following);
                lose(state, at);
            }
            Next::Wait(_) | Next::Rest => return None,
        }
        Some(())
    }

    pub(crate) fn crash(&self, state: &mut State, worker: usize) -> Option<()> {
        state.workers[worker] = Worker::Idle;
        Some(())
    }

    pub(crate) fn write(&self, state: &mut State, worker: usize) -> Option<()> {
        let Worker::Knows { erasure: at, stage, outcome, holds } = state.workers[worker] else { return None };
        state.workers[worker] = Worker::Idle;
        // `Saga::held`: Lost.
        if !holds && self.bug != Some(Bug::ClaimNotChecked) {
            return Some(());
        }
        let (step, participant) = STAGES[usize::from(stage)];
        let row = 1_u32 << stage;
        let erasure = &mut state.erasures[usize::from(at)];
        match outcome {
            Outcome::Done => {
                erasure.done |= row;
                match step {
                    Step::Certify => erasure.certificates = erasure.certificates.max(Certificates::First),
                    Step::ReCertify => erasure.certificates = Certificates::Both,
                    _ => {}
                }
            }
            Outcome::Found if self.bug != Some(Bug::FoundAndForgotten) => {
                erasure.done &= !bit(Step::Purge, participant);
            }
            Outcome::Found | Outcome::Held => {}
        }
        Some(())
    }

    /// Asks the code what comes next.
    fn decide(&self, state: domain::State, done: u32, waits: u8) -> Next {
        let told = self.told(done);
        let now = OffsetDateTime::UNIX_EPOCH;
        let ask = || {
            let stages: Vec<Stage> = STAGES
                .iter()
                .enumerate()
                .map(|(at, (step, participant))| Stage {
                    step: *step,
                    participant: *participant,
                    done_at: (told >> at & 1 == 1).then_some(now),
                    attempts: 0,
                    waits_for: None,
                    next_attempt_at: participant
                        .is_some_and(|participant| waits >> participant & 1 == 1)
                        .then_some(now + Duration::DAY),
                })
                .collect();
            domain::next(state, &stages, now)
        };
        ANSWERS.with_borrow_mut(|answers| *answers.entry((state as u8, told, waits)).or_insert_with(ask))
    }

    /// What the code is told is done. A bug in the order of the steps is a lie here.
    fn told(&self, done: u32) -> u32 {
        let all = |step| done & bits(step) == bits(step);
        let first = bit(Step::Fence, Some(0));
        done | match self.bug {
            Some(Bug::MessagingNotFirst) if (done | first) & bits(Step::Fence) != bits(Step::Fence) => first,
            Some(Bug::PurgeBeforeFences) if done & first != 0 => bits(Step::Fence) | bits(Step::Ledger),
            Some(Bug::LedgerNotAwaited) if all(Step::Fence) => bits(Step::Ledger),
            Some(Bug::KeyOutlivesCertificate) => bits(Step::DestroyCensusKey),
            Some(Bug::SecondVerificationSkipped) => bits(Step::ReVerify),
            _ => 0,
        }
    }
}

impl State {
    /// The worker's step is at its end.
    pub(crate) fn know(&mut self, worker: usize, outcome: Outcome) -> Option<()> {
        let Worker::Tries { erasure, stage, holds, .. } = self.workers[worker] else { return None };
        self.workers[worker] = Worker::Knows { erasure, stage, outcome, holds };
        Some(())
    }
}

/// The token of the erasure's claim is counted up: who had it has it no more, and does not know.
fn lose(state: &mut State, at: usize) {
    for worker in &mut state.workers {
        match worker {
            Worker::Tries { erasure, holds, .. } | Worker::Knows { erasure, holds, .. }
                if usize::from(*erasure) == at =>
            {
                *holds = false;
            }
            _ => {}
        }
    }
}
