//! Collects the ids of all documents that match.

use lethe_ids::MessageId;
use tantivy::{
    DocId, Score, SegmentOrdinal, SegmentReader, TantivyError,
    collector::{Collector, SegmentCollector},
    columnar::Column,
};

use super::schema::{self, ID_HIGH, ID_LOW};

/// The ids of all matching documents, ascending.
pub(super) struct Census;

pub(super) struct CensusOfSegment {
    id_high: Column<u64>,
    id_low: Column<u64>,
    messages: Vec<MessageId>,
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
        Ok(CensusOfSegment { id_high, id_low, messages: Vec::new() })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, segments: Vec<Vec<MessageId>>) -> Result<Vec<MessageId>, TantivyError> {
        let mut messages: Vec<MessageId> = segments.into_iter().flatten().collect();
        messages.sort_unstable();
        Ok(messages)
    }
}

impl SegmentCollector for CensusOfSegment {
    type Fruit = Vec<MessageId>;

    fn collect(&mut self, document: DocId, _: Score) {
        let high = self.id_high.first(document).unwrap_or_default();
        let low = self.id_low.first(document).unwrap_or_default();
        self.messages.push(schema::whole(high, low));
    }

    fn harvest(self) -> Vec<MessageId> {
        self.messages
    }
}
