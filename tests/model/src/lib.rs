//! The erasure's saga as a model that is walked completely: every order of every step of everybody, every crash.
//!
//! Two requests for one person, two processes of retention (one of which may sleep while the other goes on), three
//! participants of three kinds (messaging writes under a lock, search checks, writes and checks again, retention is a
//! participant of its own erasures), a writer that is late, two holders of the index, a legal hold, and erasers that
//! forget. What comes next is decided by the code itself, [`lethe_retention::domain::next`]; each [`Action`] names
//! the function of the services that it stands for. The surprising thing: the model can be broken on purpose ([`Bug`]), and a
//! test demands that each break is found.

mod bug;
pub mod merge;
mod participants;
mod properties;
mod saga;
mod state;
mod writers;

use stateright::{Model, Property};

use crate::saga::PARTICIPANTS;

pub use bug::Bug;
pub use properties::is_finished;
pub use state::{
    Certificates, Entry, Erasure, Fences, Held, Hold, Key, Messaging, Outcome, Search, Stand, State, Turn,
    Worker, Writer,
};

/// The model: the services as they are, or with one thing wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Saga {
    /// What is wrong.
    pub bug: Option<Bug>,
    /// Nobody but one request and retention's processes acts: a space small enough to be walked often.
    pub quiet: bool,
}

/// One step of somebody. Each is one commit, or one thing in one process's memory: between any two of them everybody else
/// may act, and any process may die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// `api/request_erasure.rs`, up to the counts: nothing open, no fence.
    Ask(usize),
    /// `request_erasure::register`: the row is inserted under the unique index, then the fence is looked at.
    Register(usize),
    /// `api/confirm_erasure.rs`.
    Confirm(usize),
    /// `api/cancel_erasure.rs`.
    Cancel(usize),

    /// `Saga::claim`, `Saga::load` and the decision, while the rows of some participants wait. Whoever had the claim has
    /// lost it, and does not know.
    Claim {
        /// Which process.
        worker: usize,
        /// Whose rows are not due yet, one bit a participant: any, at any time, so that nothing need be remembered of it.
        waits: u8,
    },
    /// `Saga::attempt`: the next commit of a step, in the participant's process where it is a participant's.
    Serve(usize),
    /// The participant's eraser has a mistake: it answers that all is gone, and did nothing.
    Forget(usize),
    /// `Saga::finish`, `Saga::fail` or `Saga::found`: what came of a step is written down, if the claim still holds.
    Write(usize),
    /// The process of retention dies with what it knew; or the participant dies or does not answer in time, and nothing is
    /// written down but when to try again. What was committed stays.
    Crash(usize),

    /// A writer of messaging's locks the head and looks at the fence: `store/head.rs`, `0170_bans.sql`.
    Lock,
    /// It commits.
    Commit,
    /// It dies; PostgreSQL rolls back.
    RollBack,

    /// A legal hold on one record.
    PlaceHold,
    /// It ends.
    ReleaseHold,

    /// An event is delivered, for the first time or again: `search/src/events.rs` reads messaging, `Turn::write` checks the
    /// fences.
    Read(usize),
    /// `Turn::write` writes to the engine, under its lease's token.
    Index(usize),
    /// `Turn::write` checks again, undoes, and only then the event is acknowledged.
    CheckAgain(usize),
    /// The indexer dies within its turn.
    DropTurn(usize),
    /// The first holder of the shard sleeps for longer than its lease; another takes it.
    PassLease,
}

impl Model for Saga {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, _state: &State, actions: &mut Vec<Action>) {
        for erasure in 0..2 {
            actions.extend([
                Action::Ask(erasure),
                Action::Register(erasure),
                Action::Confirm(erasure),
                Action::Cancel(erasure),
            ]);
        }
        for worker in 0..2 {
            actions.extend([
                Action::Serve(worker),
                Action::Forget(worker),
                Action::Write(worker),
                Action::Crash(worker),
            ]);
            actions.extend((0..1 << PARTICIPANTS).map(|waits| Action::Claim { worker, waits }));
        }
        if self.quiet {
            actions.retain(|action| !matches!(action, Action::Ask(1) | Action::Cancel(_)));
            return;
        }
        actions.extend([
            Action::Lock,
            Action::Commit,
            Action::RollBack,
            Action::PlaceHold,
            Action::ReleaseHold,
        ]);
        for holder in 0..2 {
            actions.extend([
                Action::Read(holder),
                Action::Index(holder),
                Action::CheckAgain(holder),
                Action::DropTurn(holder),
            ]);
        }
        actions.push(Action::PassLease);
    }

    /// `None` where the action is not possible, or changes nothing.
    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let acted = match action {
            Action::Ask(erasure) => self.ask(&mut state, erasure),
            Action::Register(erasure) => self.register(&mut state, erasure),
            Action::Confirm(erasure) => self.confirm(&mut state, erasure),
            Action::Cancel(erasure) => self.cancel(&mut state, erasure),
            Action::Claim { worker, waits } => self.claim(&mut state, worker, waits),
            Action::Serve(worker) => self.serve(&mut state, worker),
            Action::Forget(worker) => self.forget(&mut state, worker),
            Action::Write(worker) => self.write(&mut state, worker),
            Action::Crash(worker) => self.crash(&mut state, worker),
            Action::Lock => self.lock(&mut state),
            Action::Commit => self.commit(&mut state),
            Action::RollBack => self.roll_back(&mut state),
            Action::PlaceHold => self.place_hold(&mut state),
            Action::ReleaseHold => self.release_hold(&mut state),
            Action::Read(holder) => self.read(&mut state, holder),
            Action::Index(holder) => self.index(&mut state, holder),
            Action::CheckAgain(holder) => self.check_again(&mut state, holder),
            Action::DropTurn(holder) => self.drop_turn(&mut state, holder),
            Action::PassLease => self.pass_lease(&mut state),
        };
        self.drop_spent(&mut state);
        state.sort();
        (acted.is_some() && state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
