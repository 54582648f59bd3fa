//! Everything that is stored anywhere, and what each process has in memory. As small as it may be: what is always the same,
//! or follows from the rest, is left out.

use std::hash::{Hash, Hasher};

use lethe_retention::domain;

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// Two requests to erase one person.
    pub erasures: [Erasure; 2],
    /// retention's processes.
    pub workers: [Worker; 2],
    /// messaging's store and keystore.
    pub messaging: Messaging,
    /// search's store and index.
    pub search: Search,
    /// A legal hold on one record of messaging's.
    pub hold: Hold,
    /// Something was accepted or acknowledged behind a fence. Never set, unless something is wrong.
    pub written_after_fence: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            erasures: Default::default(),
            workers: [Worker::Idle; 2],
            messaging: Messaging { secret: true, rows: true, held: Held::Own, writer: Writer::Idle },
            search: Search { purged: false, document: false, holder: 0, highest: 0, turns: [Turn::None; 2] },
            hold: Hold::None,
            written_after_fence: false,
        }
    }
}

/// A request and its rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Erasure {
    /// `erasures.state`.
    pub stand: Stand,
    /// The row names the contact.
    pub names: bool,
    /// `fencing_at`: the point of no return is passed.
    pub fencing: bool,
    /// `erasure_steps.done_at`, one bit a row of [`crate::saga::STAGES`].
    pub done: u32,
    /// Who has a fence of it.
    pub fences: Fences,
    /// The censuses' key.
    pub key: Key,
    /// The rights ledger's object.
    pub entry: Entry,
    /// Signed so far.
    pub certificates: Certificates,
}

/// The fences of an erasure. That of messaging is the head's, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Fences {
    /// messaging's.
    pub messaging: bool,
    /// search's, committed.
    pub search: bool,
    /// search's census is frozen.
    pub frozen: bool,
    /// retention's own: one a contact. After the second certificate it is the bare contact.
    pub own: bool,
}

/// Where a request stands, before and after it has a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Stand {
    /// Nobody asks.
    #[default]
    Nothing,
    /// Somebody asked, and looks at the counts.
    Asked,
    /// A row.
    Row(domain::State),
}

impl Hash for Stand {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let number = match self {
            Self::Nothing => 0,
            Self::Asked => 1,
            Self::Row(state) => 2 + *state as u8,
        };
        hasher.write_u8(number);
    }
}

/// The key that the censuses are sealed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Key {
    /// Not made.
    #[default]
    None,
    /// In the keystore.
    Alive,
    /// A tombstone.
    Destroyed,
}

/// The ledger's entry of an erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Entry {
    /// Not there.
    #[default]
    None,
    /// Written, and gone if the machine falls now.
    Written,
    /// There for good.
    Durable,
}

/// How many certificates an erasure has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Certificates {
    /// None.
    #[default]
    None,
    /// The first.
    First,
    /// Both.
    Both,
}

/// A process of retention's that moves erasures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Worker {
    /// It has nothing to do.
    Idle,
    /// It is within a step.
    Tries {
        /// Of which erasure.
        erasure: u8,
        /// Which row of [`crate::saga::STAGES`].
        stage: u8,
        /// How many commits of the step it has behind it.
        commits: u8,
        /// Its claim's token is the latest.
        holds: bool,
    },
    /// It knows what came of it, and has not written it down.
    Knows {
        /// Of which erasure.
        erasure: u8,
        /// Which row of [`crate::saga::STAGES`].
        stage: u8,
        /// What.
        outcome: Outcome,
        /// Its claim's token is the latest.
        holds: bool,
    },
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Done.
    Done,
    /// Verified, and something is there.
    Found,
    /// `LEGAL_HOLD_ACTIVE`.
    Held,
}

/// messaging.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Messaging {
    /// The person's secret lives.
    pub secret: bool,
    /// Rows that nothing holds.
    pub rows: bool,
    /// The record that a hold may be placed on.
    pub held: Held,
    /// Somebody who writes a message.
    pub writer: Writer,
}

/// A record that a hold may be placed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Held {
    /// Sealed under the person's secret.
    Own,
    /// Sealed anew, under the hold's.
    Resealed,
    /// Deleted.
    Gone,
    /// Deleted after its hold was released.
    GoneAfterHold,
}

/// A writer of messaging's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Writer {
    /// Not at work.
    Idle,
    /// Has the head's lock, and met no fence.
    Locked,
    /// Met the fence: 404.
    Refused,
}

/// search.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Search {
    /// `Purge` was done.
    pub purged: bool,
    /// The index has a document of the person.
    pub document: bool,
    /// Who has the shard's lease.
    pub holder: u8,
    /// The highest token that the engine has seen.
    pub highest: u8,
    /// What each holder is about.
    pub turns: [Turn; 2],
}

/// A turn at the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Turn {
    /// None.
    None,
    /// Has read the message, met no fence, and will write.
    Checked,
    /// Has written, and will check again.
    Written,
}

/// A legal hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    /// Never placed.
    None,
    /// In force.
    InForce,
    /// Over.
    Released,
}

impl Erasure {
    /// The state of the row, if there is one.
    pub fn state(&self) -> Option<domain::State> {
        match self.stand {
            Stand::Row(state) => Some(state),
            Stand::Nothing | Stand::Asked => None,
        }
    }

    /// What the unique index `erasures_open` covers, whether or not the row still names the contact.
    pub fn is_open(&self) -> bool {
        self.state().is_some_and(|state| !state.is_certified() && state != domain::State::Cancelled)
    }
}

impl State {
    /// Whether any erasure has this fence: what a writer asks.
    pub fn is_fenced(&self, fence: fn(&Fences) -> bool) -> bool {
        self.erasures.iter().any(|erasure| fence(&erasure.fences))
    }

    /// The two erasures are alike, and so are the two processes of retention: one order of each stands for both.
    pub(crate) fn sort(&mut self) {
        if self.erasures[0] < self.erasures[1] {
            self.erasures.swap(0, 1);
            for worker in &mut self.workers {
                match worker {
                    Worker::Tries { erasure, .. } | Worker::Knows { erasure, .. } => *erasure = 1 - *erasure,
                    Worker::Idle => {}
                }
            }
        }
        self.workers.sort_unstable();
    }
}

impl Messaging {
    /// The held record can be read.
    pub fn is_held_readable(&self) -> bool {
        match self.held {
            Held::Own => self.secret,
            Held::Resealed => true,
            Held::Gone | Held::GoneAfterHold => false,
        }
    }

    /// Nothing of the person is there.
    pub fn is_gone(&self) -> bool {
        !self.rows && !self.secret && matches!(self.held, Held::Gone | Held::GoneAfterHold)
    }
}
