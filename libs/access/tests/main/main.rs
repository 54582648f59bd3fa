//! Every reason for which a call is refused, with a clock that stands still.

mod guard;
mod revoked;
mod rig;
mod tokens;
