//! Those who come in between: a writer of messaging's, the index's two holders, and a legal hold.

use crate::{
    Bug, Saga,
    state::{Held, Hold, State, Turn, Writer},
};

impl Saga {
    pub(crate) fn lock(&self, state: &mut State) -> Option<()> {
        (state.messaging.writer == Writer::Idle).then_some(())?;
        let fenced =
            state.is_fenced(|fences| fences.messaging) && self.bug != Some(Bug::FenceNotCheckedByOneWriter);
        state.messaging.writer = if fenced { Writer::Refused } else { Writer::Locked };
        Some(())
    }

    pub(crate) fn commit(&self, state: &mut State) -> Option<()> {
        (state.messaging.writer == Writer::Locked).then_some(())?;
        state.messaging.writer = Writer::Idle;
        state.messaging.rows = true;
        state.written_after_fence |= state.is_fenced(|fences| fences.messaging);
        Some(())
    }

    pub(crate) fn roll_back(&self, state: &mut State) -> Option<()> {
        (state.messaging.writer == Writer::Locked).then_some(())?;
        state.messaging.writer = Writer::Idle;
        Some(())
    }

    /// A hold is a write about the person: it meets the fence as every other.
    pub(crate) fn place_hold(&self, state: &mut State) -> Option<()> {
        let fenced = state.is_fenced(|fences| fences.messaging) && self.bug != Some(Bug::HoldAfterFence);
        (state.hold == Hold::None && state.messaging.held == Held::Own && !fenced).then_some(())?;
        state.hold = Hold::InForce;
        Some(())
    }

    pub(crate) fn release_hold(&self, state: &mut State) -> Option<()> {
        (state.hold == Hold::InForce).then_some(())?;
        state.hold = Hold::Released;
        Some(())
    }

    /// Who has the lease reads messaging and checks. What is not to be had there is removed here, in the same turn.
    pub(crate) fn read(&self, state: &mut State, holder: usize) -> Option<()> {
        let fenced = state.is_fenced(|fences| fences.messaging || fences.search);
        let search = &mut state.search;
        let is_turn = usize::from(search.holder) == holder && search.turns[holder] == Turn::None;
        is_turn.then_some(())?;
        if state.messaging.rows && !fenced {
            search.turns[holder] = Turn::Checked;
        } else if search.document {
            search.document = false;
            search.highest = search.holder;
        }
        Some(())
    }

    /// The engine refuses a token below the highest that it has seen.
    pub(crate) fn index(&self, state: &mut State, holder: usize) -> Option<()> {
        let search = &mut state.search;
        (search.turns[holder] == Turn::Checked).then_some(())?;
        if holder < usize::from(search.highest) {
            search.turns[holder] = Turn::None;
            return Some(());
        }
        search.document = true;
        search.highest = holder as u8;
        search.turns[holder] = Turn::Written;
        Some(())
    }

    pub(crate) fn check_again(&self, state: &mut State, holder: usize) -> Option<()> {
        let fenced = state.is_fenced(|fences| fences.search);
        let search = &mut state.search;
        (search.turns[holder] == Turn::Written).then_some(())?;
        search.turns[holder] = Turn::None;
        if fenced && self.bug != Some(Bug::NoSecondCheck) {
            // An older holder's undoing is refused as its write would be, and nothing is acknowledged.
            if holder >= usize::from(search.highest) {
                search.document = false;
            }
            return Some(());
        }
        let is_ours = usize::from(search.holder) == holder;
        state.written_after_fence |= is_ours && fenced && search.document;
        Some(())
    }

    pub(crate) fn drop_turn(&self, state: &mut State, holder: usize) -> Option<()> {
        state.search.turns[holder] = Turn::None;
        Some(())
    }

    pub(crate) fn pass_lease(&self, state: &mut State) -> Option<()> {
        (state.search.holder == 0).then_some(())?;
        state.search.holder = 1;
        Some(())
    }
}
