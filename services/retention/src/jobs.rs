//! What retention does by itself.

mod advance_erasures;

pub use advance_erasures::advance_erasures;
