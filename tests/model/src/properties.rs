//! What must always hold, and what must happen somewhere: a model in which nothing is certified is safe, too.

use lethe_retention::domain::{self, Step};
use stateright::Property;

use crate::{
    Saga,
    saga::bits,
    state::{Certificates, Entry, Erasure, Fences, Held, Hold, Key, Outcome, Stand, State, Worker, Writer},
};

pub(crate) const BARRIER: &str = "nobody is purged before all are fenced";
pub(crate) const LEDGER_FIRST: &str = "the ledger's entry is durable before a secret dies";
pub(crate) const MESSAGING_FIRST: &str = "nobody is fenced before messaging";
pub(crate) const CERTIFIED_IS_GONE: &str = "what is certified is in no store, ever again";
pub(crate) const PURGED_STAYS_GONE: &str = "what was purged from the index does not come back";
pub(crate) const CERTIFICATES: &str =
    "the second certificate comes after the second verification and the key's end";
pub(crate) const NO_WRITE_AFTER_FENCE: &str = "nothing is accepted or acknowledged behind a fence";
pub(crate) const HELD_IS_KEPT: &str = "what is held can be read until its release";
pub(crate) const HELD_ALONE: &str = "a hold keeps nothing else";
pub(crate) const ONE_OPEN: &str = "a person has one open erasure at most";
pub(crate) const NONE_AFTER_FENCE: &str = "no erasure is asked for behind another's fence";
pub(crate) const NO_CANCEL_AFTER_FENCE: &str = "what is cancelled was never fenced";

pub(crate) fn all() -> Vec<Property<Saga>> {
    vec![
        Property::always(BARRIER, |_, state: &State| {
            !is_touched(state) || state.erasures.iter().any(is_fenced)
        }),
        Property::always(LEDGER_FIRST, |_, state: &State| {
            state.messaging.secret || state.erasures.iter().any(|erasure| erasure.entry == Entry::Durable)
        }),
        Property::always(MESSAGING_FIRST, |_, state: &State| {
            state.erasures.iter().all(|erasure| {
                let fences = erasure.fences;
                fences.messaging || !(fences.search || fences.frozen || fences.own)
            })
        }),
        Property::always(CERTIFIED_IS_GONE, |_, state: &State| {
            !has_certificate(state)
                || state.messaging.is_gone()
                    && !state.search.document
                    && !state.erasures.iter().any(|erasure| erasure.names)
        }),
        Property::always(PURGED_STAYS_GONE, |_, state: &State| {
            !state.search.purged || !state.search.document
        }),
        Property::always(CERTIFICATES, |_, state: &State| {
            state.erasures.iter().all(|erasure| {
                let verified = |step| erasure.done & bits(step) == bits(step);
                match erasure.certificates {
                    Certificates::None => true,
                    Certificates::First => verified(Step::Verify),
                    Certificates::Both => verified(Step::ReVerify) && erasure.key == Key::Destroyed,
                }
            })
        }),
        Property::always(NO_WRITE_AFTER_FENCE, |_, state: &State| !state.written_after_fence),
        Property::always(HELD_IS_KEPT, |_, state: &State| {
            state.hold != Hold::InForce || state.messaging.is_held_readable()
        }),
        Property::always(HELD_ALONE, |_, state: &State| {
            !state.workers.iter().any(is_held) || !state.messaging.rows && !state.messaging.secret
        }),
        Property::always(ONE_OPEN, |_, state: &State| {
            !state.erasures.iter().all(|erasure| erasure.is_open())
        }),
        Property::always(NONE_AFTER_FENCE, |_, state: &State| {
            state.erasures.iter().all(|erasure| {
                !erasure.is_open() || erasure.fences.own || !state.is_fenced(|fences| fences.own)
            })
        }),
        Property::always(NO_CANCEL_AFTER_FENCE, |_, state: &State| {
            state.erasures.iter().all(|erasure| {
                erasure.stand != Stand::Row(domain::State::Cancelled) || erasure.fences == Fences::default()
            })
        }),
        Property::sometimes("certified", |_, state: &State| has_certificate(state)),
        Property::sometimes("verified again, and certified again", |_, state: &State| is_over(state)),
        Property::sometimes("held records wait, and nothing else does", |_, state: &State| {
            state.workers.iter().any(is_held) && state.hold == Hold::InForce
        }),
        Property::sometimes("a hold is released, and the erasure completes", |_, state: &State| {
            state.messaging.held == Held::GoneAfterHold && is_over(state)
        }),
        Property::sometimes("a late writer is refused, and the erasure completes", |_, state: &State| {
            state.messaging.writer == Writer::Refused && is_over(state)
        }),
        Property::sometimes("a process dies before it wrote down what was done", |_, state: &State| {
            state.workers == [Worker::Idle; 2]
                && state
                    .erasures
                    .iter()
                    .any(|erasure| erasure.entry == Entry::Durable && erasure.done & bits(Step::Ledger) == 0)
        }),
        Property::sometimes(
            "a process that slept is still within a step that another has taken over",
            |_, state: &State| {
                state.workers.iter().any(|worker| matches!(worker, Worker::Tries { holds: false, .. }))
                    && state.workers.iter().any(|worker| matches!(worker, Worker::Knows { holds: true, .. }))
            },
        ),
        Property::sometimes("the verifier finds what the eraser forgot", |_, state: &State| {
            state.workers.iter().any(|worker| matches!(worker, Worker::Knows { outcome: Outcome::Found, .. }))
        }),
        Property::sometimes("one is cancelled, and the other completes", |_, state: &State| {
            is_over(state) && state.erasures.iter().any(|e| e.stand == Stand::Row(domain::State::Cancelled))
        }),
        Property::sometimes(
            "the index passes to another holder, and the erasure completes",
            |_, state: &State| state.search.holder == 1 && is_over(state),
        ),
    ]
}

/// Somebody has destroyed or deleted something.
fn is_touched(state: &State) -> bool {
    let has_own_purge = state.is_fenced(|fences| fences.own) && !state.erasures.iter().any(|e| e.names);
    !state.messaging.secret || !state.messaging.rows || state.search.purged || has_own_purge
}

/// Every participant is fenced for this erasure.
fn is_fenced(erasure: &Erasure) -> bool {
    let Fences { messaging, search, frozen, own } = erasure.fences;
    messaging && search && frozen && own
}

fn has_certificate(state: &State) -> bool {
    state.erasures.iter().any(|erasure| erasure.certificates != Certificates::None)
}

/// Nobody waits for anything: each erasure that was confirmed is at its end.
pub fn is_finished(state: &State) -> bool {
    state
        .erasures
        .iter()
        .all(|erasure| erasure.state().is_none_or(|row| !row.is_confirmed() || row.is_over()))
}

/// An erasure came to its end.
fn is_over(state: &State) -> bool {
    state.erasures.iter().any(|erasure| erasure.state() == Some(domain::State::ReVerified))
}

fn is_held(worker: &Worker) -> bool {
    matches!(worker, Worker::Knows { outcome: Outcome::Held, .. })
}
