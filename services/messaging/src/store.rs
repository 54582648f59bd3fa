//! Every SQL statement of messaging but the verifier's, through transactions of one tenant. Knows nothing of gRPC.
//!
//! Each writer begins with the contact's head ([`head::lock`], [`head::count_up`]): that row orders the changes of a
//! contact, and whoever finds it fenced finds nothing.

pub(crate) mod ban;
pub(crate) mod consent;
pub(crate) mod contact;
pub(crate) mod conversation;
pub(crate) mod delivery;
pub(crate) mod due;
pub(crate) mod eraser;
pub(crate) mod fence;
pub(crate) mod head;
pub(crate) mod hold;
pub(crate) mod idempotency;
pub(crate) mod import;
pub(crate) mod import_key;
pub(crate) mod label;
pub(crate) mod merge;
pub(crate) mod message;
pub(crate) mod notice;
pub(crate) mod opt_out;
pub(crate) mod picture;
pub(crate) mod rating;
pub(crate) mod reach;
pub(crate) mod reseal;
pub(crate) mod secrets;
pub(crate) mod spam;
pub(crate) mod webhook_delivery;
pub(crate) mod webhook_endpoint;
pub(crate) mod webhook_turn;

/// A sequence or version as the contract has it.
pub(crate) fn unsigned(number: i64) -> u64 {
    number.unsigned_abs()
}
