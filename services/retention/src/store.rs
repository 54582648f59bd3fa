//! Every SQL statement of retention. Each but the search for due rows runs in a transaction of one tenant. Knows rows and
//! nothing of gRPC or NATS; answers of participants are kept as the protobuf that they sent.

mod advance;
mod certificate;
mod erasure;
mod fence;
mod hasten;
mod hold;
mod idempotency;
mod step;

pub use advance::{
    Lease, claim, due, enter, fail_step, finish_step, note_held, recorded, release, renew, replace_answer,
    reset_purge, start_fencing,
};
pub use certificate::{certificate, insert_certificate, newest_certificate, take_nonce};
pub use erasure::{
    Erasure, NewErasure, Requested, cancel, confirm, get, insert, list, lock, open_of, owned_secrets,
    participants, recount,
};
pub use fence::{
    Fence, OwnRows, Whose, fence, fence_of, forget, is_another_being_fenced, is_conversation_fenced,
    is_fenced, lock_open, own_rows, unlink,
};
pub use hasten::hasten;
pub use hold::{
    Held, Hold, delete_hold, due_holds, forget_held, get_hold, hold_of_key, insert_hold, is_held, list_holds,
    move_hold, start_release, wake_held,
};
pub use idempotency::{Remembered, recall, remember};
pub use step::{StepRow, plan, steps};

/// Whether a statement met a unique index: another transaction was first.
pub fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}

/// A stored text or number that no code of ours wrote.
pub(crate) fn damaged(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}
