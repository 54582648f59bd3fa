//! What a step does, commit by commit: retention's own, and the three participants'.

use lethe_retention::domain::{self, Step};

use crate::{
    Bug, Saga,
    saga::STAGES,
    state::{Certificates, Entry, Held, Hold, Key, Outcome, Stand, State, Turn, Worker, Writer},
};

/// What one commit came to.
enum Then {
    /// The step has more of them.
    More,
    /// The step is at its end.
    Ends(Outcome),
    /// A code, and nothing else: the step is tried again.
    Fails,
    /// Somebody else comes first.
    Blocked,
}

impl Saga {
    pub(crate) fn serve(&self, state: &mut State, worker: usize) -> Option<()> {
        let Worker::Tries { erasure, stage, commits, holds } = state.workers[worker] else { return None };
        let then = match STAGES[usize::from(stage)] {
            (Step::CensusKey, _) => make_census_key(state, erasure, commits, holds),
            (Step::Ledger, _) => record(state, erasure),
            (Step::DestroyCensusKey, _) => {
                state.erasures[usize::from(erasure)].key = Key::Destroyed;
                Then::Ends(Outcome::Done)
            }
            (Step::Certify | Step::ReCertify, _) => Then::Ends(Outcome::Done),
            // What follows is done under the censuses' key: `Saga::census_key`.
            _ if state.erasures[usize::from(erasure)].key != Key::Alive => Then::Fails,
            (Step::Fence, Some(0)) => self.fence_messaging(state, erasure),
            (Step::Fence, Some(1)) => self.fence_search(state, erasure, commits),
            (Step::Fence, _) => fence_retention(state, erasure),
            (Step::Purge, Some(0)) => self.purge_messaging(state, erasure, commits),
            (Step::Purge, Some(1)) => self.purge_search(state, erasure),
            (Step::Purge, _) => purge_retention(state, erasure),
            (Step::Verify | Step::ReVerify, participant) => self.verify(state, participant),
        };
        match then {
            Then::More => {
                state.workers[worker] = Worker::Tries { erasure, stage, commits: commits + 1, holds };
                Some(())
            }
            Then::Ends(outcome) => state.know(worker, outcome),
            Then::Fails => {
                state.workers[worker] = Worker::Idle;
                Some(())
            }
            Then::Blocked => None,
        }
    }

    /// Forgets the steps of processes that lost their claim and would change nothing any more, nor write down anything: they
    /// are as good as dead. What a participant does twice it does not do twice, so that will not change.
    pub(crate) fn drop_spent(&self, state: &mut State) {
        for worker in 0..state.workers.len() {
            let is_spent = match state.workers[worker] {
                Worker::Tries { holds: false, .. } => {
                    let mut later = state.clone();
                    while self.serve(&mut later, worker).is_some() {}
                    // Either at its end, or waiting for somebody.
                    let ends = !matches!(later.workers[worker], Worker::Tries { .. });
                    later.workers = state.workers;
                    ends && later == *state
                }
                Worker::Knows { holds, .. } => !holds,
                _ => false,
            };
            if is_spent && self.bug != Some(Bug::ClaimNotChecked) {
                state.workers[worker] = Worker::Idle;
            }
        }
    }

    /// An eraser that does nothing and says that it is done. The verifier must find out.
    pub(crate) fn forget(&self, state: &mut State, worker: usize) -> Option<()> {
        let Worker::Tries { erasure, stage, commits: 0, .. } = state.workers[worker] else { return None };
        let is_asked = state.erasures[usize::from(erasure)].key == Key::Alive;
        (is_asked && STAGES[usize::from(stage)].0 == Step::Purge).then_some(())?;
        state.know(worker, Outcome::Done)
    }

    /// `messaging/src/api/fence.rs`: one transaction under the head's lock.
    fn fence_messaging(&self, state: &mut State, erasure: u8) -> Then {
        let waits = state.messaging.writer == Writer::Locked && self.bug != Some(Bug::FenceWithoutLock);
        let fences = &mut state.erasures[usize::from(erasure)].fences;
        if !fences.messaging && waits {
            return Then::Blocked;
        }
        fences.messaging = true;
        Then::Ends(Outcome::Done)
    }

    /// `search/src/erase.rs`: the fence is committed, then a turn is waited for, then the census is frozen.
    fn fence_search(&self, state: &mut State, erasure: u8, commits: u8) -> Then {
        if commits == 0 {
            state.erasures[usize::from(erasure)].fences.search = true;
            return Then::More;
        }
        if !self.has_turn(state) {
            return Then::Blocked;
        }
        if self.bug != Some(Bug::EngineNotTold) {
            state.search.highest = state.search.holder;
        }
        state.erasures[usize::from(erasure)].fences.frozen = true;
        Then::Ends(Outcome::Done)
    }

    /// `messaging/src/erase.rs`: what is held is sealed anew, the secrets die, the rows go.
    fn purge_messaging(&self, state: &mut State, erasure: u8, commits: u8) -> Then {
        let (messaging, hold) = (&mut state.messaging, state.hold);
        if !state.erasures[usize::from(erasure)].fences.messaging {
            return Then::Fails;
        }
        let is_held = hold == Hold::InForce && self.bug != Some(Bug::HoldIgnored);
        match commits {
            0 if is_held && self.bug == Some(Bug::HoldStopsAll) => Then::Ends(Outcome::Held),
            0 => {
                if is_held && messaging.held == Held::Own && self.bug != Some(Bug::HeldNotResealed) {
                    messaging.held = Held::Resealed;
                }
                Then::More
            }
            1 => {
                messaging.secret = false;
                Then::More
            }
            2 => {
                messaging.rows = false;
                messaging.held = match messaging.held {
                    Held::Own if is_held && self.bug == Some(Bug::HeldNotResealed) => Held::Own,
                    Held::Own => Held::Gone,
                    Held::Resealed if !is_held => Held::GoneAfterHold,
                    as_it_is => as_it_is,
                };
                Then::More
            }
            _ if messaging.is_gone() => Then::Ends(Outcome::Done),
            // Also when the hold was released a moment ago: then the next try finishes it.
            _ => Then::Ends(Outcome::Held),
        }
    }

    /// `search/src/erase.rs`, in a turn.
    fn purge_search(&self, state: &mut State, erasure: u8) -> Then {
        if !state.erasures[usize::from(erasure)].fences.frozen {
            return Then::Fails;
        }
        if !self.has_turn(state) {
            return Then::Blocked;
        }
        if state.search.document {
            state.search.document = false;
            state.search.highest = state.search.highest.max(state.search.holder);
        }
        state.search.purged = true;
        Then::Ends(Outcome::Done)
    }

    /// `verify.rs` of each: reads again.
    fn verify(&self, state: &State, participant: Option<usize>) -> Then {
        let is_absent = match participant {
            Some(0) => state.messaging.is_gone(),
            Some(1) => !state.search.document,
            _ => !state.erasures.iter().any(|erasure| erasure.names),
        };
        let believed = self.bug == Some(Bug::EraserBelieved);
        Then::Ends(if is_absent || believed { Outcome::Done } else { Outcome::Found })
    }

    /// `Indexer::turn`: the process that has the lease is at no other turn of the shard.
    fn has_turn(&self, state: &State) -> bool {
        let holder = usize::from(state.search.holder);
        state.search.turns[holder] == Turn::None || self.bug == Some(Bug::TurnNotAwaited)
    }
}

/// `saga/own_steps.rs`: the point of no return under the claim's token, then the secrets.
fn make_census_key(state: &mut State, erasure: u8, commits: u8, holds: bool) -> Then {
    let erasure = &mut state.erasures[usize::from(erasure)];
    if commits == 0 {
        let is_confirmed = erasure.stand == Stand::Row(domain::State::Confirmed);
        if !(holds && is_confirmed) {
            return Then::Fails;
        }
        erasure.fencing = true;
        return Then::More;
    }
    if erasure.key == Key::None {
        erasure.key = Key::Alive;
    }
    // There already, alive or as a tombstone: `AlreadyExists`.
    Then::Ends(Outcome::Done)
}

/// `Ledger::record`: made, then durable; a second call makes durable what it finds.
fn record(state: &mut State, erasure: u8) -> Then {
    let erasure = &mut state.erasures[usize::from(erasure)];
    if erasure.entry == Entry::None {
        erasure.entry = Entry::Written;
        return Then::More;
    }
    erasure.entry = Entry::Durable;
    Then::Ends(Outcome::Done)
}

/// `retention/src/erase.rs`: one fence a contact, and none of a scope that is forgotten.
fn fence_retention(state: &mut State, erasure: u8) -> Then {
    let erasure = usize::from(erasure);
    if state.erasures[1 - erasure].fences.own || state.erasures[erasure].certificates == Certificates::Both {
        return Then::Fails;
    }
    state.erasures[erasure].fences.own = true;
    Then::Ends(Outcome::Done)
}

/// `store::unlink`: out of every row that names the contact.
fn purge_retention(state: &mut State, erasure: u8) -> Then {
    if !state.erasures[usize::from(erasure)].fences.own {
        return Then::Fails;
    }
    state.erasures.iter_mut().for_each(|erasure| erasure.names = false);
    Then::Ends(Outcome::Done)
}
