//! Clears away deliveries that were listed long enough, signing secrets that sign no more, and endpoints whose deletion was
//! cut off.

use std::{sync::Arc, time::Duration};

use lethe_ambient::Tasks;
use lethe_ids::TenantId;
use lethe_service::{BuildError, Job, Progress, Round};
use time::OffsetDateTime;

use crate::{
    error::Error,
    state::State,
    store::{due, webhook_delivery},
};

const NAME: &str = "messaging.sweep_webhooks";
/// Secrets and endpoints of one round.
const BATCH: i64 = 100;

/// The job.
pub(crate) fn job(state: &Arc<State>, tasks: &Tasks) -> Job {
    let interval = Duration::from_secs(state.config.webhooks.sweep_interval_s);
    let state = state.clone();
    Job::every(NAME, tasks, interval, None, move || {
        let state = state.clone();
        async move { sweep(&state).await }
    })
}

/// One round.
async fn sweep(state: &State) -> Result<Progress, BuildError> {
    let (jobs, now, config) = (state.db.jobs(), state.clock.now(), &state.config.webhooks);
    let mut round = Round::of(NAME);
    for (tenant, endpoint) in due::webhook_deletions(jobs, BATCH).await? {
        let deleted = state.finish_webhook_deletion(tenant, endpoint).await;
        round.note(endpoint, deleted.map(|()| Progress::More));
    }
    for (tenant, endpoint, unit) in due::webhook_secrets(jobs, now, BATCH).await? {
        let forgotten = state.forget_signing_secret(tenant, endpoint, unit).await;
        round.note(endpoint, forgotten.map(|()| Progress::More));
    }
    let before = now - Duration::from_secs(u64::from(config.kept_days) * 86_400);
    for tenant in due::tenants_with_old_deliveries(jobs, before).await? {
        round.note(tenant, forget(state, tenant, before).await);
    }
    round.end()
}

async fn forget(state: &State, tenant: TenantId, before: OffsetDateTime) -> Result<Progress, Error> {
    let most = i64::from(state.config.webhooks.sweep_batch);
    let mut tx = state.tx(tenant).await?;
    let gone = webhook_delivery::forget(&mut tx, before, most).await?;
    tx.commit().await?;
    Ok(if gone > 0 { Progress::More } else { Progress::Idle })
}
