//! What identity does by itself.

pub mod destroy_retired_units;
pub mod finish_member_erasures;
pub mod sweep_api_keys;
pub mod sweep_expired;

use lethe_service::{BuildError, Progress};

use crate::Error;

/// A round over several tenants: one that cannot be served keeps none of the others waiting, and fails the round in the end.
#[derive(Default)]
struct Round {
    served: u64,
    failed: Option<Error>,
}

impl Round {
    /// What became of one of them: how much of it was done.
    fn note(&mut self, served: Result<u64, Error>) {
        match served {
            Ok(served) => self.served += served,
            Err(error) => self.failed = Some(error),
        }
    }

    fn end(self) -> Result<Progress, BuildError> {
        match self.failed {
            Some(error) => Err(error.into()),
            None if self.served > 0 => Ok(Progress::More),
            None => Ok(Progress::Idle),
        }
    }
}
