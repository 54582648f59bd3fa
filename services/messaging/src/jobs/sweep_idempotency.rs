//! Forgets the keys of creating requests that are older than they are promised to be remembered, and the ids of holds that
//! were released long ago.

use std::{sync::Arc, time::Duration};

use lethe_ambient::Tasks;
use lethe_ids::TenantId;
use lethe_service::{BuildError, Job, Progress, Round};
use time::OffsetDateTime;

use crate::{
    error::Error,
    state::State,
    store::{due, hold, idempotency},
};

const NAME: &str = "messaging.sweep_idempotency";
/// How long a released hold can not be placed again.
const RELEASED: Duration = Duration::from_secs(31 * 86_400);

/// The job.
pub(crate) fn job(state: &Arc<State>, tasks: &Tasks) -> Job {
    let interval = Duration::from_secs(state.config.idempotency.sweep_interval_s);
    let state = state.clone();
    Job::every(NAME, tasks, interval, None, move || {
        let state = state.clone();
        async move { sweep(&state).await }
    })
}

/// One round: a batch of every tenant that has old keys or holds.
pub(crate) async fn sweep(state: &State) -> Result<Progress, BuildError> {
    let (jobs, now) = (state.db.jobs(), state.clock.now());
    let mut round = Round::of(NAME);
    let before = now - state.config.idempotency.kept();
    for tenant in due::tenants_with_old_keys(jobs, before).await? {
        round.note(tenant, forget_keys(state, tenant, before).await);
    }
    let before = now - RELEASED;
    for tenant in due::tenants_with_released_holds(jobs, before).await? {
        round.note(tenant, forget_holds(state, tenant, before).await);
    }
    round.end()
}

async fn forget_keys(state: &State, tenant: TenantId, before: OffsetDateTime) -> Result<Progress, Error> {
    let mut tx = state.tx(tenant).await?;
    let gone = idempotency::forget(&mut tx, before, i64::from(state.config.idempotency.sweep_batch)).await?;
    tx.commit().await?;
    Ok(if gone > 0 { Progress::More } else { Progress::Idle })
}

async fn forget_holds(state: &State, tenant: TenantId, before: OffsetDateTime) -> Result<Progress, Error> {
    let mut tx = state.tx(tenant).await?;
    hold::forget(&mut tx, before, i64::from(state.config.idempotency.sweep_batch)).await?;
    tx.commit().await?;
    Ok(Progress::More)
}
