//! Looks for leftovers: whether what was erased still lies anywhere, and whether anything still opens.
//!
//! A [`Search`] looks for [`Tokens`] in the raw bytes of folders, in each of the forms a text may take there, inside
//! compressed streams too, and in what each store's own reader gives; on the way it gathers every sealed header and
//! wrapped key. A [`trial`](fn@trial) then tries those with every key that exists now.
//!
//! It is made to be believed: what it could not look at is in the report, next to what it found.

mod engine;
mod forms;
mod harvest;
mod pieces;
mod readers;
mod report;
#[doc(hidden)]
pub mod s2;
mod search;
mod streams;
mod tokens;
mod trial;
mod wal;

pub use forms::Form;
pub use harvest::{Harvest, Sightings};
pub use readers::IndexPiece;
pub use report::{Finding, Looked, Place, Report, Unread};
pub use search::{Progress, Search};
pub use tokens::{BadToken, LONGEST_TOKEN, SHORTEST_TOKEN, Tokens};
pub use trial::{KeySource, Opening, Outcome, Summary, Trial, TrialError, trial};
