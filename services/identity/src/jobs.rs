//! What identity does by itself.

pub mod destroy_retired_units;
pub mod finish_member_erasures;
pub mod sweep_api_keys;
pub mod sweep_expired;
