//! What search knows without asking anybody.

pub(crate) mod progress;
