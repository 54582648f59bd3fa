//! Two contacts that are one person: a merge of them beside the erasure of either, in every order, walked completely.
//!
//! Each contact (0, the survivor; 1, the merged one) has a head, a subject's secret, rows and a document in the index. Erasures may be
//! asked for under either id, and both at once. `Fence` looks who the contact is now, and looks again under the lock of the head;
//! the others fence the ids that it answered. A merge looks at the fences before it prepares, and again under both locks.

use stateright::{Model, Property};

/// What may be wrong in a merge, and which property must find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeBug {
    /// `MergeContacts` looks at the fences before it prepares, and not under the locks.
    FenceNotAskedUnderLock,
    /// `Fence` does not ask who the contact is now.
    OwnerNotAsked,
    /// `Fence` asks before it has the lock, and not again under it.
    OwnerAskedOnce,
    /// The index is fenced for the survivor's id alone.
    OthersNotTold,
    /// `Purge` takes the subject that the contact was made with, and not those that it took over.
    SubjectsLeft,
    /// `Fence` takes a contact who is gone for nobody, though another erasure of the person is on its way.
    GoneIsNobody,
    /// retention has one fence a contact: who comes second waits for the first, who waits for that.
    OneOwnFence,
}

impl MergeBug {
    /// With this one two erasures may wait for each other for ever.
    pub const STUCK: Self = Self::OneOwnFence;

    /// Those with which a state may be unsafe, each with the property that it violates.
    pub const UNSAFE: [(Self, &'static str); 6] = [
        (Self::FenceNotAskedUnderLock, NOT_BEHIND_FENCE),
        (Self::OwnerNotAsked, CERTIFIED_IS_GONE),
        (Self::OwnerAskedOnce, CERTIFIED_IS_GONE),
        (Self::OthersNotTold, CERTIFIED_IS_GONE),
        (Self::SubjectsLeft, CERTIFIED_IS_GONE),
        (Self::GoneIsNobody, CERTIFIED_IS_GONE),
    ];
}

const CERTIFIED_IS_GONE: &str = "once certified, nothing of any id of the person is there, ever again";
const NOT_BEHIND_FENCE: &str = "nobody is merged behind a fence";
const NOBODY_ELSE: &str = "nobody is erased who was not asked for";

/// The services as they are, or with one thing wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Merging {
    /// What is wrong.
    pub bug: Option<MergeBug>,
}

/// Everything stored, and what is under way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Together {
    /// Of each contact.
    pub contacts: [Contact; 2],
    /// The merge.
    pub merge: Merge,
    /// Of each contact's id.
    pub erasures: [Request; 2],
    /// The index's one turn.
    pub turn: Turn,
    /// Ids that search refuses.
    pub search_fences: [bool; 2],
    /// Each message's document, and the contact that it stands under.
    pub documents: [Option<usize>; 2],
    /// The merge was done although a fence was up. Never, unless something is wrong.
    pub merged_behind_fence: bool,
}

/// A contact in messaging.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Contact {
    /// It has a head: it is neither merged nor erased.
    pub head: bool,
    /// The head is fenced.
    pub fenced: bool,
    /// The secret of the subject that it was made with.
    pub secret: bool,
    /// What was said under that subject.
    pub rows: bool,
}

impl Default for Contact {
    fn default() -> Self {
        Self { head: true, fenced: false, secret: true, rows: true }
    }
}

/// How far the merge is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Merge {
    /// Nobody asked.
    #[default]
    None,
    /// Both were read, nothing stood in the way; the profile is being sealed.
    Prepared,
    /// Done.
    Done,
    /// A fence stood in the way, or one of both was gone.
    Refused,
}

/// An erasure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Request {
    /// How far it is.
    pub step: Step,
    /// Whom `Fence` found, before it had the lock.
    pub found: Option<usize>,
    /// The ids that it answered.
    pub ids: [bool; 2],
    /// It was asked for after the merge.
    pub after_merge: bool,
    /// Whom the row names: who the contact was when it was asked for.
    pub contact: usize,
    /// `fencing_at`: the point of no return is passed.
    pub begun: bool,
    /// retention has a fence of it.
    pub own: bool,
}

/// The steps of an erasure; each is one commit and may be done again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Nobody asked.
    #[default]
    None,
    /// Another erasure of the person left it nothing to do.
    Cancelled,
    /// `RequestErasure`.
    Asked,
    /// `ConfirmErasure`.
    Confirmed,
    /// messaging's fence stands.
    Fenced,
    /// search's too.
    SearchFenced,
    /// And retention's own.
    AllFenced,
    /// The secrets are destroyed.
    Destroyed,
    /// messaging's rows are gone.
    Purged,
    /// The documents are.
    SearchPurged,
    /// retention's own rows name nobody any more.
    AllPurged,
    /// Re-read, and certified.
    Certified,
}

/// A turn of the index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Turn {
    /// None.
    #[default]
    None,
    /// This message was read under this contact, which was not fenced.
    Read(usize, usize),
    /// Its document is written.
    Written(usize, usize),
}

/// One step of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Does {
    /// `merge_contacts::read`.
    Prepare,
    /// `merge_contacts::unite`.
    Unite,
    /// `api/request_erasure.rs`, under this id.
    Ask(usize),
    /// `api/confirm_erasure.rs`.
    Confirm(usize),
    /// `api/fence.rs`, before the lock.
    LookUp(usize),
    /// `fence::raise`, under it.
    Raise(usize),
    /// The next commit of the erasure.
    GoOn(usize),
    /// The process dies after the commit and before it wrote it down: the step is done again.
    Again(usize),
    /// The indexer reads a message, whose event is delivered for the first time or again.
    Read(usize),
    /// It writes the document.
    Index,
    /// It checks again, and undoes.
    CheckAgain,
}

impl Together {
    /// Who a contact is now.
    fn owner(&self, contact: usize) -> usize {
        if self.merge == Merge::Done && self.contacts[0].head { 0 } else { contact }
    }

    /// The ids of a person.
    fn ids(&self, owner: usize) -> [bool; 2] {
        let both = owner == 0 && self.merge == Merge::Done;
        [owner == 0 || both, owner == 1 || both]
    }

    /// Nothing of a contact's own is there, neither in messaging nor in the index.
    fn is_gone(&self, contact: usize) -> bool {
        let Contact { secret, rows, .. } = self.contacts[contact];
        !secret && !rows && self.documents[contact].is_none()
    }

    /// Whom an erasure under this id is to reach.
    fn person(&self, id: usize) -> [bool; 2] {
        match self.merge {
            Merge::Done => [true, true],
            _ => [id == 0, id == 1],
        }
    }

    /// Nothing is under way.
    pub fn is_finished(&self) -> bool {
        self.erasures.iter().all(|erasure| !(Step::Confirmed..Step::Certified).contains(&erasure.step))
    }
}

impl Merging {
    fn prepare(self, state: &mut Together) -> Option<()> {
        (state.merge == Merge::None).then_some(())?;
        let may = state.contacts.iter().all(|contact| contact.head && !contact.fenced);
        state.merge = if may { Merge::Prepared } else { Merge::Refused };
        Some(())
    }

    fn unite(self, state: &mut Together) -> Option<()> {
        (state.merge == Merge::Prepared).then_some(())?;
        let fenced = state.contacts.iter().any(|contact| contact.fenced);
        let gone = state.contacts.iter().any(|contact| !contact.head);
        if gone || fenced && self.bug != Some(MergeBug::FenceNotAskedUnderLock) {
            state.merge = Merge::Refused;
            return Some(());
        }
        state.merge = Merge::Done;
        state.contacts[1].head = false;
        state.merged_behind_fence |= fenced;
        Some(())
    }

    fn look_up(self, state: &mut Together, at: usize) -> Option<()> {
        (state.erasures[at].step == Step::Confirmed && state.erasures[at].found.is_none()).then_some(())?;
        let contact = state.erasures[at].contact;
        let owner = if self.bug == Some(MergeBug::OwnerNotAsked) { contact } else { state.owner(contact) };
        state.erasures[at].found = Some(owner);
        state.erasures[at].begun = true;
        Some(())
    }

    fn raise(self, state: &mut Together, at: usize) -> Option<()> {
        let owner = state.erasures[at].found?;
        (state.erasures[at].step == Step::Confirmed).then_some(())?;
        state.erasures[at].found = None;
        let believes = matches!(self.bug, Some(MergeBug::OwnerNotAsked | MergeBug::OwnerAskedOnce));
        if state.owner(state.erasures[at].contact) != owner && !believes {
            return Some(());
        }
        let other = &state.erasures[1 - at];
        let ids = match () {
            () if believes => [owner == 0, owner == 1],
            // The person is being erased, by another request: what that one found is to be gone for this one, too.
            () if !state.contacts[owner].head
                && other.ids[owner]
                && self.bug != Some(MergeBug::GoneIsNobody) =>
            {
                other.ids
            }
            () => state.ids(owner),
        };
        if state.contacts[owner].head {
            state.contacts[owner].fenced = true;
        }
        state.erasures[at].ids = ids;
        state.erasures[at].step = Step::Fenced;
        Some(())
    }

    /// What the step that comes next does; the caller writes it down, or dies before.
    fn act(self, state: &mut Together, at: usize) -> Option<Step> {
        let (step, ids) = (state.erasures[at].step, state.erasures[at].ids);
        let owner = if ids[0] { 0 } else { 1 };
        let told = match self.bug {
            Some(MergeBug::OthersNotTold) => [owner == 0, owner == 1],
            _ => ids,
        };
        Some(match step {
            Step::Fenced => {
                (0..2).filter(|id| told[*id]).for_each(|id| state.search_fences[id] = true);
                // The barrier: a turn that met no fence is waited for.
                (state.turn == Turn::None).then_some(Step::SearchFenced)?
            }
            Step::SearchFenced => {
                let (contact, other) = (state.erasures[at].contact, &state.erasures[1 - at]);
                let taken = other.own && other.ids[contact];
                (!taken || self.bug != Some(MergeBug::OneOwnFence)).then_some(())?;
                state.erasures[at].own = true;
                Step::AllFenced
            }
            Step::AllFenced => {
                let all = self.bug != Some(MergeBug::SubjectsLeft);
                (0..2)
                    .filter(|id| ids[*id] && (all || *id == owner))
                    .for_each(|id| state.contacts[id].secret = false);
                Step::Destroyed
            }
            Step::Destroyed => {
                let all = self.bug != Some(MergeBug::SubjectsLeft);
                for id in (0..2).filter(|id| ids[*id]) {
                    if all || id == owner {
                        state.contacts[id].rows = false;
                    }
                    state.contacts[id].head = false;
                }
                Step::Purged
            }
            Step::Purged => {
                (state.turn == Turn::None).then_some(())?;
                for document in &mut state.documents {
                    *document = document.filter(|contact| !told[*contact]);
                }
                Step::SearchPurged
            }
            Step::SearchPurged => {
                let other = &mut state.erasures[1 - at];
                let is_named = ids[other.contact] && (Step::Asked..Step::AllFenced).contains(&other.step);
                // One that has begun needs to know whose it is, until it has a fence of its own here.
                (!(is_named && other.begun && !other.own)).then_some(())?;
                if is_named && !other.begun {
                    other.step = Step::Cancelled;
                }
                Step::AllPurged
            }
            // Re-read by what was told: it believes the ids, and nothing else.
            Step::AllPurged => {
                let found = state.documents.iter().flatten().any(|contact| told[*contact]);
                if found { Step::Purged } else { Step::Certified }
            }
            _ => return None,
        })
    }

    fn read(self, state: &mut Together, message: usize) -> Option<()> {
        (state.turn == Turn::None).then_some(())?;
        let contact = state.owner(message);
        let readable = state.contacts[message].rows && !state.contacts[contact].fenced;
        if readable && !state.search_fences[contact] {
            state.turn = Turn::Read(message, contact);
        } else {
            state.documents[message] = None;
        }
        Some(())
    }

    fn index(self, state: &mut Together) -> Option<()> {
        let Turn::Read(message, contact) = state.turn else { return None };
        state.documents[message] = Some(contact);
        state.turn = Turn::Written(message, contact);
        Some(())
    }

    fn check_again(self, state: &mut Together) -> Option<()> {
        let Turn::Written(message, contact) = state.turn else { return None };
        if state.search_fences[contact] {
            state.documents[message] = None;
        }
        state.turn = Turn::None;
        Some(())
    }
}

impl Model for Merging {
    type State = Together;
    type Action = Does;

    fn init_states(&self) -> Vec<Together> {
        vec![Together::default()]
    }

    fn actions(&self, _state: &Together, actions: &mut Vec<Does>) {
        actions.extend([Does::Prepare, Does::Unite, Does::Index, Does::CheckAgain]);
        for one in 0..2 {
            actions.extend([Does::Ask(one), Does::Confirm(one), Does::LookUp(one), Does::Raise(one)]);
            actions.extend([Does::GoOn(one), Does::Again(one), Does::Read(one)]);
        }
    }

    fn next_state(&self, last: &Together, action: Does) -> Option<Together> {
        let mut state = last.clone();
        match action {
            Does::Prepare => self.prepare(&mut state)?,
            Does::Unite => self.unite(&mut state)?,
            Does::Ask(at) => {
                // Of a merged id, it is the survivor's that is asked for; of one that is gone, none.
                let (owner, other) = (state.owner(at), &state.erasures[1 - at]);
                let is_open = (Step::Asked..Step::Certified).contains(&other.step) && other.contact == owner;
                let may = state.contacts[owner].head && !state.contacts[owner].fenced && !is_open;
                (may && state.erasures[at].step == Step::None).then_some(())?;
                state.erasures[at].step = Step::Asked;
                state.erasures[at].contact = owner;
                state.erasures[at].after_merge = state.merge == Merge::Done;
            }
            Does::Confirm(at) => {
                (state.erasures[at].step == Step::Asked).then_some(())?;
                state.erasures[at].step = Step::Confirmed;
            }
            Does::LookUp(at) => self.look_up(&mut state, at)?,
            Does::Raise(at) => self.raise(&mut state, at)?,
            Does::GoOn(at) => state.erasures[at].step = self.act(&mut state, at)?,
            Does::Again(at) => drop(self.act(&mut state, at)),
            Does::Read(message) => self.read(&mut state, message)?,
            Does::Index => self.index(&mut state)?,
            Does::CheckAgain => self.check_again(&mut state)?,
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(CERTIFIED_IS_GONE, |_, state: &Together| {
                (0..2).filter(|id| certified(state, *id)).all(|id| {
                    let person = state.person(id);
                    (0..2).filter(|contact| person[*contact]).all(|contact| state.is_gone(contact))
                })
            }),
            Property::always(NOT_BEHIND_FENCE, |_, state: &Together| !state.merged_behind_fence),
            Property::always(NOBODY_ELSE, |_, state: &Together| {
                (0..2).filter(|contact| !state.contacts[*contact].secret).all(|contact| {
                    (0..2).any(|id| state.erasures[id].step >= Step::Confirmed && state.person(id)[contact])
                })
            }),
            Property::sometimes(
                "asked for under the merged id, after the merge, and certified",
                |_, state: &Together| certified(state, 1) && state.erasures[1].after_merge,
            ),
            Property::sometimes(
                "asked for under the merged id, then merged, and certified",
                |_, state: &Together| {
                    certified(state, 1) && state.merge == Merge::Done && !state.erasures[1].after_merge
                },
            ),
            Property::sometimes(
                "asked for under the survivor's id, then merged, and certified",
                |_, state: &Together| {
                    certified(state, 0) && state.merge == Merge::Done && !state.erasures[0].after_merge
                },
            ),
            Property::sometimes(
                "merged while Fence had looked and had no lock yet",
                |_, state: &Together| state.merge == Merge::Done && state.erasures[1].found == Some(1),
            ),
            Property::sometimes(
                "prepared, then fenced, then refused, and certified",
                |_, state: &Together| {
                    state.merge == Merge::Refused && certified(state, 0) && !certified(state, 1)
                },
            ),
            Property::sometimes(
                "one of two who were never merged is erased, and the other stays",
                |_, state: &Together| {
                    certified(state, 1)
                        && state.merge == Merge::None
                        && state.contacts[0].secret
                        && state.documents[0].is_some()
                },
            ),
            Property::sometimes(
                "both ids are asked for, merged, and both are certified",
                |_, state: &Together| {
                    certified(state, 0) && certified(state, 1) && state.merge == Merge::Done
                },
            ),
            Property::sometimes(
                "a document stands under the id of before the merge",
                |_, state: &Together| state.merge == Merge::Done && state.documents[1] == Some(1),
            ),
        ]
    }
}

fn certified(state: &Together, id: usize) -> bool {
    state.erasures[id].step == Step::Certified
}
