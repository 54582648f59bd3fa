//! The rules of an erasure as values and functions: where it stands, what confirms it, how long a
//! step waits. Knows nothing of gRPC, SQL, NATS or tokio, and takes time as an argument.

mod backoff;
mod commitment;
mod confirmation;
mod hold;
mod mode;
mod state;
mod step;

pub use backoff::Backoff;
pub use commitment::commitment;
pub use confirmation::{Confirmation, ConfirmationError};
pub use hold::{HoldReason, HoldState, UnknownHold, is_case_reference};
pub use mode::Mode;
pub use state::State;
pub use step::{Code, Next, Stage, Step, is_ready, next};
