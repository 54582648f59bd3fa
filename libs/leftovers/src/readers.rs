//! Stores by their own readers: what lies packed, encoded or spread over pages on disk is whole there.

mod index;
mod jetstream;
mod postgres;

pub use index::IndexPiece;
