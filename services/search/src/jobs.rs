//! What search does by itself. Every round is idempotent and may be cut off anywhere.

mod close_gaps;
mod keep_index;
mod rebuild_indexes;
mod settle_index;

pub(crate) use close_gaps::close_gaps;
pub(crate) use keep_index::{close_index, expunge_deletes, hold_shards, sync_index};
pub(crate) use rebuild_indexes::rebuild_indexes;
pub(crate) use settle_index::consume_events;
