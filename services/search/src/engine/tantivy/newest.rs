//! Collects the newest documents by time and id, straight from the columns.

use std::{cmp::Reverse, collections::BinaryHeap};

use tantivy::{
    DocId, Score, SegmentOrdinal, SegmentReader, TantivyError,
    collector::{Collector, SegmentCollector},
    columnar::Column,
};

use super::schema::{self, AT, ID_HIGH, ID_LOW};
use crate::engine::Hit;

/// The newest `limit` hits in `[from, until)` that are older than `after`. Newest first.
pub(super) struct Newest {
    pub(super) from: Option<i64>,
    pub(super) until: Option<i64>,
    pub(super) after: Option<Hit>,
    pub(super) limit: usize,
}

pub(super) struct NewestOfSegment {
    from: i64,
    until: Option<i64>,
    after: Option<Hit>,
    limit: usize,
    at: Column<i64>,
    id_high: Column<u64>,
    id_low: Column<u64>,
    hits: BinaryHeap<Reverse<Hit>>,
}

impl Collector for Newest {
    type Fruit = Vec<Hit>;
    type Child = NewestOfSegment;

    fn for_segment(
        &self,
        _: SegmentOrdinal,
        segment: &SegmentReader,
    ) -> Result<NewestOfSegment, TantivyError> {
        let columns = segment.fast_fields();
        Ok(NewestOfSegment {
            from: self.from.unwrap_or(i64::MIN),
            until: self.until,
            after: self.after,
            limit: self.limit,
            at: columns.i64(AT)?,
            id_high: columns.u64(ID_HIGH)?,
            id_low: columns.u64(ID_LOW)?,
            hits: BinaryHeap::new(),
        })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, segments: Vec<Vec<Hit>>) -> Result<Vec<Hit>, TantivyError> {
        let mut hits: Vec<Hit> = segments.into_iter().flatten().collect();
        hits.sort_unstable_by(|a, b| b.cmp(a));
        hits.truncate(self.limit);
        Ok(hits)
    }
}

impl SegmentCollector for NewestOfSegment {
    type Fruit = Vec<Hit>;

    fn collect(&mut self, document: DocId, _: Score) {
        let at = self.at.first(document).unwrap_or_default();
        if at < self.from || self.until.is_some_and(|until| at >= until) {
            return;
        }
        // The id is only read where the time alone does not rule the document out.
        let too_new = self.after.is_some_and(|after| at > after.at);
        let full = self.hits.len() >= self.limit;
        let too_old = full && self.hits.peek().is_none_or(|Reverse(oldest)| at < oldest.at);
        if too_new || too_old {
            return;
        }
        let high = self.id_high.first(document).unwrap_or_default();
        let low = self.id_low.first(document).unwrap_or_default();
        let hit = Hit { at, message: schema::whole(high, low) };
        if self.after.is_some_and(|after| hit >= after) {
            return;
        }
        self.hits.push(Reverse(hit));
        if self.hits.len() > self.limit {
            self.hits.pop();
        }
    }

    fn harvest(self) -> Vec<Hit> {
        self.hits.into_iter().map(|Reverse(hit)| hit).collect()
    }
}
