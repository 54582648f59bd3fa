//! Collects the ids of all documents that match.

use lethe_ids::MessageId;
use tantivy::{
    DocId, Score, SegmentOrdinal, SegmentReader, TantivyError,
    collector::{Collector, SegmentCollector},
    columnar::Column,
};

use super::schema::{self, ID_HIGH, ID_LOW};

/// The ids of matching documents, ascending: the first `most` of those after `after`, which is all that is held of them.
pub(super) struct Census {
    pub(super) after: Option<MessageId>,
    pub(super) most: usize,
}

impl Census {
    /// All of them.
    pub(super) const ALL: Self = Self { after: None, most: usize::MAX };
}

pub(super) struct CensusOfSegment {
    id_high: Column<u64>,
    id_low: Column<u64>,
    after: Option<MessageId>,
    most: usize,
    messages: Vec<MessageId>,
}

impl CensusOfSegment {
    fn shorten(&mut self) {
        self.messages.sort_unstable();
        self.messages.truncate(self.most);
    }
}

impl Collector for Census {
    type Fruit = Vec<MessageId>;
    type Child = CensusOfSegment;

    fn for_segment(
        &self,
        _: SegmentOrdinal,
        segment: &SegmentReader,
    ) -> Result<CensusOfSegment, TantivyError> {
        let columns = segment.fast_fields();
        let (id_high, id_low) = (columns.u64(ID_HIGH)?, columns.u64(ID_LOW)?);
        let &Census { after, most } = self;
        Ok(CensusOfSegment { id_high, id_low, after, most, messages: Vec::new() })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, segments: Vec<Vec<MessageId>>) -> Result<Vec<MessageId>, TantivyError> {
        let mut messages: Vec<MessageId> = segments.into_iter().flatten().collect();
        messages.sort_unstable();
        messages.truncate(self.most);
        Ok(messages)
    }
}

impl SegmentCollector for CensusOfSegment {
    type Fruit = Vec<MessageId>;

    fn collect(&mut self, document: DocId, _: Score) {
        let high = self.id_high.first(document).unwrap_or_default();
        let low = self.id_low.first(document).unwrap_or_default();
        let message = schema::whole(high, low);
        if self.after.is_none_or(|after| message > after) {
            self.messages.push(message);
        }
        if self.messages.len() >= self.most.saturating_mul(2) {
            self.shorten();
        }
    }

    fn harvest(mut self) -> Vec<MessageId> {
        self.shorten();
        self.messages
    }
}
