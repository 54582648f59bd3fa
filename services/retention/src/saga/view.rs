//! Where each participant stands and why it waits, for whoever may see the erasure.

use lethe_proto::retention::ParticipantState;
use lethe_service::timestamp;
use time::OffsetDateTime;

use crate::{
    NAME,
    domain::{Code, Stage, State, Step, is_ready},
    store::StepRow,
};

/// The steps of a participant, in order.
const STEPS: [Step; 4] = [Step::Fence, Step::Purge, Step::Verify, Step::ReVerify];

/// The participants' states, in the order of fencing.
pub fn participant_states(
    state: State,
    participants: &[String],
    steps: &[StepRow],
    now: OffsetDateTime,
) -> Vec<ParticipantState> {
    let stages: Vec<Stage> = steps.iter().map(|row| row.stage.clone()).collect();
    let of = |position: usize, name: &String| {
        let row = |step| stages.iter().find(|s| s.step == step && s.participant == Some(position));
        let done = |step| row(step).is_some_and(|stage| stage.done_at.is_some());
        let mut view = ParticipantState {
            participant: name.clone(),
            fenced: done(Step::Fence),
            purged: done(Step::Purge),
            verified: done(Step::Verify) && (state != State::Certified || done(Step::Purge)),
            ..ParticipantState::default()
        };
        // retention answers for the steps that are the saga's own.
        let own = stages.iter().filter(|s| name == NAME && s.participant.is_none() && s.waits_for.is_some());
        let current = own
            .filter(|stage| stage.done_at.is_none())
            .chain(STEPS.into_iter().filter_map(row).filter(|stage| stage.done_at.is_none()))
            .next();
        if state == State::Requested {
            view.waits_for = Code::CONFIRMATION.text().to_owned();
        } else if let Some(stage) = current.filter(|_| state.is_confirmed()) {
            view.attempts = stage.attempts;
            view.next_attempt_at = stage.next_attempt_at.map(timestamp);
            view.waits_for =
                waits_for(state, &stages, stage, now).map(|code| code.text().to_owned()).unwrap_or_default();
        }
        view
    };
    participants.iter().enumerate().map(|(position, name)| of(position, name)).collect()
}

fn waits_for(state: State, stages: &[Stage], stage: &Stage, now: OffsetDateTime) -> Option<Code> {
    if let Some(code) = &stage.waits_for {
        return Some(code.clone());
    }
    if stage.step == Step::ReVerify && stage.next_attempt_at.is_some_and(|at| at > now) {
        return Some(Code::RE_VERIFICATION_DUE);
    }
    (!is_ready(state, stages, stage)).then_some(Code::OTHERS)
}
