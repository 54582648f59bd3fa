//! Finishes erasures of members that a crash, or a keystore that was away, left unfinished. No input, twice is as once.

use std::time::Duration;

use lethe_service::{BuildError, Failure, Job, Progress};

use crate::{api::Identity, erase_member, store};

/// Erasures that one round looks at.
const BATCH: i64 = 50;
const EVERY: Duration = Duration::from_secs(5);

/// The job.
pub fn job(identity: &Identity) -> Job {
    let identity = identity.clone();
    let tasks = identity.0.tasks.clone();
    Job::every("identity.finish_member_erasures", &tasks, EVERY, None, move || {
        let identity = identity.clone();
        async move { round(&identity).await }
    })
}

/// One round. One that cannot be finished waits for its next attempt, and keeps no other from its own.
///
/// # Errors
/// When the database does not answer.
pub async fn round(identity: &Identity) -> Result<Progress, BuildError> {
    let due = store::member_erasure::due(&identity.0.db, identity.0.clock.now(), BATCH).await?;
    for (tenant, erasure) in &due {
        if let Err(error) = erase_member::finish(identity, *tenant, *erasure).await {
            let failure = Failure::from(error);
            tracing::warn!(%erasure, error = %failure, "the erasure of a member waits");
        }
    }
    Ok(if due.is_empty() { Progress::Idle } else { Progress::More })
}
