//! Collects the first documents by rank, time and id, straight from the columns.

use std::{cmp::Reverse, collections::BinaryHeap};

use tantivy::{
    DocId, Score, SegmentOrdinal, SegmentReader, TantivyError,
    collector::{Collector, SegmentCollector},
    columnar::Column,
};

use super::schema::{self, AT, ID_HIGH, ID_LOW, LENGTH};
use crate::engine::{Hit, Order};

/// In a text of so many characters words count half as much as where there is nothing else.
const HALF: f32 = 200.0;
/// A rank is so many times the score. It is rounded: the sum behind a score may differ in its last bits from one look to
/// the next.
const STEPS: f32 = 256.0;

/// The first `limit` hits in `[from, until)` that come behind `after`.
pub(super) struct First {
    pub(super) order: Order,
    pub(super) from: Option<i64>,
    pub(super) until: Option<i64>,
    pub(super) after: Option<Hit>,
    pub(super) limit: usize,
}

pub(super) struct FirstOfSegment {
    order: Order,
    from: i64,
    until: Option<i64>,
    after: Option<Hit>,
    limit: usize,
    length: Column<u64>,
    at: Column<i64>,
    id_high: Column<u64>,
    id_low: Column<u64>,
    hits: BinaryHeap<Reverse<Hit>>,
}

impl Collector for First {
    type Fruit = Vec<Hit>;
    type Child = FirstOfSegment;

    fn for_segment(
        &self,
        _: SegmentOrdinal,
        segment: &SegmentReader,
    ) -> Result<FirstOfSegment, TantivyError> {
        let columns = segment.fast_fields();
        Ok(FirstOfSegment {
            order: self.order,
            from: self.from.unwrap_or(i64::MIN),
            until: self.until,
            after: self.after,
            limit: self.limit,
            length: columns.u64(LENGTH)?,
            at: columns.i64(AT)?,
            id_high: columns.u64(ID_HIGH)?,
            id_low: columns.u64(ID_LOW)?,
            hits: BinaryHeap::new(),
        })
    }

    fn requires_scoring(&self) -> bool {
        self.order == Order::Relevance
    }

    fn merge_fruits(&self, segments: Vec<Vec<Hit>>) -> Result<Vec<Hit>, TantivyError> {
        let mut hits: Vec<Hit> = segments.into_iter().flatten().collect();
        hits.sort_unstable_by(|a, b| b.cmp(a));
        hits.truncate(self.limit);
        Ok(hits)
    }
}

impl SegmentCollector for FirstOfSegment {
    type Fruit = Vec<Hit>;

    fn collect(&mut self, document: DocId, score: Score) {
        let at = self.at.first(document).unwrap_or_default();
        if at < self.from || self.until.is_some_and(|until| at >= until) {
            return;
        }
        let rank = match self.order {
            Order::Newest => 0,
            // A float becomes the nearest number there is, also where it is negative or too great.
            Order::Relevance => {
                let length = self.length.first(document).unwrap_or_default();
                (score / (1.0 + length as f32 / HALF) * STEPS).round() as u32
            }
        };
        // The id is only read where rank and time alone do not rule the document out.
        let too_early = self.after.is_some_and(|after| (rank, at) > (after.rank, after.at));
        let full = self.hits.len() >= self.limit;
        let last = self.hits.peek().map(|Reverse(last)| (last.rank, last.at));
        if too_early || (full && last.is_none_or(|last| (rank, at) < last)) {
            return;
        }
        let high = self.id_high.first(document).unwrap_or_default();
        let low = self.id_low.first(document).unwrap_or_default();
        let hit = Hit { rank, at, message: schema::whole(high, low) };
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
