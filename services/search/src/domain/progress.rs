//! How far the changes of one contact are visible. They come in any order and more than once; each has its number, so
//! that what is missing shows as a gap.

use std::collections::BTreeSet;

use crate::engine::Version;

/// More numbers ahead of a gap are not kept: they count as the gap's, and reading all again closes it.
const MOST_AHEAD: usize = 256;

/// The changes of one contact that are visible.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) incarnation: u32,
    /// All up to this one.
    pub(crate) upto: u64,
    /// And these, later than it.
    pub(crate) ahead: BTreeSet<u64>,
    /// A message could not be had when it was asked for: it was deleted, or its contact restricted.
    pub(crate) withheld: bool,
}

impl Progress {
    /// The change `version` is visible.
    pub(crate) fn note(&mut self, version: Version) {
        if version.incarnation > self.incarnation {
            *self = Self { incarnation: version.incarnation, withheld: self.withheld, ..Self::default() };
        }
        if version.incarnation < self.incarnation || version.seq <= self.upto {
            return;
        }
        self.ahead.insert(version.seq);
        while self.ahead.remove(&(self.upto + 1)) {
            self.upto += 1;
        }
        if self.ahead.len() > MOST_AHEAD {
            let latest = self.ahead.last().copied();
            self.ahead = latest.into_iter().collect();
        }
    }

    /// All changes that are known of are visible: the contact's present state was read after the latest of them.
    pub(crate) fn close(&mut self) {
        self.upto = self.ahead.last().copied().unwrap_or(0).max(self.upto);
        self.ahead.clear();
    }

    /// Whether the change with this number and all before it are visible.
    pub(crate) fn has_reached(&self, seq: u64) -> bool {
        self.upto >= seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(seqs: &[u64]) -> Progress {
        let mut progress = Progress::default();
        for seq in seqs {
            progress.note(Version { incarnation: 1, seq: *seq });
        }
        progress
    }

    #[test]
    fn order_and_repetition_do_not_matter() {
        for seqs in [[1, 2, 3, 4, 4], [4, 3, 2, 1, 1], [2, 4, 2, 1, 3]] {
            let progress = noted(&seqs);
            assert_eq!((progress.upto, progress.ahead.len()), (4, 0), "{seqs:?}");
        }
    }

    #[test]
    fn a_gap_holds_until_it_is_closed() {
        let mut progress = noted(&[1, 3, 5]);
        assert!(progress.has_reached(1) && !progress.has_reached(2) && !progress.has_reached(3));
        progress.close();
        assert!(progress.has_reached(5) && progress.ahead.is_empty());
    }

    #[test]
    fn a_restore_begins_anew_and_old_news_of_before_are_nothing() {
        let mut progress = noted(&[1, 2, 3]);
        progress.note(Version { incarnation: 2, seq: 1 });
        progress.note(Version { incarnation: 1, seq: 4 });
        assert_eq!((progress.incarnation, progress.upto, progress.ahead.len()), (2, 1, 0));
    }

    #[test]
    fn what_is_ahead_has_a_limit() {
        let many: Vec<u64> = (2..).take(MOST_AHEAD + 1).collect();
        let mut progress = noted(&many);
        assert_eq!(progress.ahead.len(), 1);
        progress.close();
        assert_eq!(progress.upto, MOST_AHEAD as u64 + 2);
    }
}
