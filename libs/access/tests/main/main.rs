//! Every reason for which a call is refused, with a clock that stands still.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod revoked;
mod rig;
mod tokens;
