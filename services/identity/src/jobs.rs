//! What identity does by itself.

pub mod sweep_expired;
