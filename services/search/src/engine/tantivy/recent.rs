//! What a shard was told lately and a search does not see yet, or no more: writes since the last refresh, and
//! deletions, so that an older state that comes late is known as such.

use std::collections::{HashMap, VecDeque};

use lethe_ids::{MessageId, TenantId};

use crate::engine::Version;

/// How many deletions are remembered. What is older is kept out by reading messaging again and by the fences.
const MOST_DELETIONS: usize = 16_384;

type Key = (TenantId, MessageId);

/// A document's state as far as versions go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) version: Version,
    pub(super) members: u64,
}

/// Writes since the last refresh, and the latest deletions.
#[derive(Default)]
pub(super) struct Recent {
    written: HashMap<Key, Option<State>>,
    deleted: HashMap<Key, Version>,
    order: VecDeque<Key>,
}

impl Recent {
    /// What became of a message since the last refresh: `None` when nothing did, `Some(None)` when it was deleted.
    pub(super) fn written(&self, key: &Key) -> Option<Option<State>> {
        self.written.get(key).copied()
    }

    /// Whether a deletion is remembered that is newer than `version`.
    pub(super) fn deleted_after(&self, key: &Key, version: Version) -> bool {
        self.deleted.get(key).is_some_and(|deleted| *deleted > version)
    }

    pub(super) fn put(&mut self, key: Key, state: State) {
        self.written.insert(key, Some(state));
    }

    pub(super) fn remove(&mut self, key: Key, version: Version) {
        self.written.insert(key, None);
        match self.deleted.get_mut(&key) {
            Some(known) => *known = version.max(*known),
            None => {
                self.deleted.insert(key, version);
                self.order.push_back(key);
                if self.order.len() > MOST_DELETIONS
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.deleted.remove(&oldest);
                }
            }
        }
    }

    /// All writes are visible now.
    pub(super) fn refreshed(&mut self) {
        self.written.clear();
    }
}
