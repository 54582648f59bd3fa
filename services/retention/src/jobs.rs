//! What retention does by itself.

mod advance_erasures;
mod settle_holds;

pub use advance_erasures::advance_erasures;
pub use settle_holds::settle_holds;
