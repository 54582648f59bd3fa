//! Forgets the keys of creating requests that are older than they are promised to be remembered, and the ids of holds that
//! were released long ago.

use std::{sync::Arc, time::Duration};

use lethe_ambient::Tasks;
use lethe_service::{Job, Progress};

use crate::{
    error::Error,
    state::State,
    store::{due, hold, idempotency},
};

/// How long a released hold can not be placed again.
const RELEASED: Duration = Duration::from_secs(31 * 86_400);

/// The job.
pub(crate) fn job(state: &Arc<State>, tasks: &Tasks) -> Job {
    let interval = Duration::from_secs(state.config.idempotency.sweep_interval_s);
    let state = state.clone();
    Job::every("messaging.sweep_idempotency", tasks, interval, None, move || {
        let state = state.clone();
        async move { sweep(&state).await }
    })
}

/// One round: a batch of every tenant that has old keys.
pub(crate) async fn sweep(state: &State) -> Result<Progress, Error> {
    let config = &state.config.idempotency;
    let before = state.clock.now() - config.kept();
    let mut progress = Progress::Idle;
    for tenant in due::tenants_with_old_keys(state.db.jobs(), before).await? {
        let mut tx = state.tx(tenant).await?;
        let gone = idempotency::forget(&mut tx, before, i64::from(config.sweep_batch)).await?;
        tx.commit().await?;
        if gone > 0 {
            progress = Progress::More;
        }
    }
    let before = state.clock.now() - RELEASED;
    for tenant in due::tenants_with_released_holds(state.db.jobs(), before).await? {
        let mut tx = state.tx(tenant).await?;
        hold::forget(&mut tx, before, i64::from(config.sweep_batch)).await?;
        tx.commit().await?;
        progress = Progress::More;
    }
    Ok(progress)
}
