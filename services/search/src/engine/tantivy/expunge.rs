//! Removing the bytes of deleted documents. A commit removes none and collecting files neither: each segment that holds
//! a deleted document is merged alone into a new one, which takes the living over; then the old one's files go.

use tantivy::index::SegmentId;

use super::shard::Shard;
use crate::engine::{EngineError, Expunged};

/// A merge that failed is tried again so often.
const ROUNDS: usize = 3;

impl Shard {
    /// Refreshes and removes what is deleted; durable when it returns. Writers wait meanwhile, searches do not.
    pub(super) fn expunge(&self) -> Result<Expunged, EngineError> {
        let mut writing = self.keep_still()?;
        if self.holding()?.is_empty() {
            // Nor is a writer needed soon: an idle shard has no threads.
            writing.rest();
            self.reload()?;
            self.sync()?;
            return Ok(Expunged::default());
        }
        let mut expunged = Expunged::default();
        for _ in 0..ROUNDS {
            let holding = self.holding()?;
            if holding.is_empty() {
                break;
            }
            let writer = writing.writer(&self.index)?;
            for (segment, deleted) in holding {
                if writer.merge(&[segment]).wait().is_ok() {
                    expunged.segments += 1;
                    expunged.documents += u64::from(deleted);
                }
            }
        }
        if !self.holding()?.is_empty() {
            return Err(EngineError::NotExpunged);
        }
        // Searches let go of the old segments first, so that the disk gives their blocks back.
        self.reload()?;
        let collected = writing.writer(&self.index)?.garbage_collect_files().wait()?;
        if !collected.failed_to_delete_files.is_empty() {
            return Err(EngineError::NotExpunged);
        }
        self.sync()?;
        Ok(expunged)
    }

    /// Removes everything; durable when it returns.
    pub(super) fn clear(&self) -> Result<(), EngineError> {
        let mut writing = self.keep_still()?;
        writing.forget();
        let writer = writing.writer(&self.index)?;
        writer.delete_all_documents()?;
        writer.commit()?;
        // Searches let go of the old segments first.
        self.reload()?;
        let collected = writing.writer(&self.index)?.garbage_collect_files().wait()?;
        if !collected.failed_to_delete_files.is_empty() {
            return Err(EngineError::NotExpunged);
        }
        self.sync()
    }

    /// The segments that hold deleted documents, and how many.
    fn holding(&self) -> Result<Vec<(SegmentId, u32)>, EngineError> {
        let segments = self.index.searchable_segment_metas()?;
        Ok(segments
            .iter()
            .filter(|s| s.num_deleted_docs() > 0)
            .map(|s| (s.id(), s.num_deleted_docs()))
            .collect())
    }
}
