//! Clears away deliveries that were listed long enough, signing secrets that sign no more, and endpoints whose deletion was
//! cut off.

use std::{sync::Arc, time::Duration};

use lethe_ambient::Tasks;
use lethe_service::{Job, Progress};

use crate::{
    error::Error,
    state::State,
    store::{due, webhook_delivery},
};

/// Secrets and endpoints of one round.
const BATCH: i64 = 100;

/// The job.
pub(crate) fn job(state: &Arc<State>, tasks: &Tasks) -> Job {
    let interval = Duration::from_secs(state.config.webhooks.sweep_interval_s);
    let state = state.clone();
    Job::every("messaging.sweep_webhooks", tasks, interval, None, move || {
        let state = state.clone();
        async move { sweep(&state).await }
    })
}

/// One round.
async fn sweep(state: &State) -> Result<Progress, Error> {
    let (jobs, now, config) = (state.db.jobs(), state.clock.now(), &state.config.webhooks);
    let mut progress = Progress::Idle;
    for (tenant, endpoint) in due::webhook_deletions(jobs, BATCH).await? {
        state.finish_webhook_deletion(tenant, endpoint).await?;
        progress = Progress::More;
    }
    for (tenant, endpoint, unit) in due::webhook_secrets(jobs, now, BATCH).await? {
        state.forget_signing_secret(tenant, endpoint, unit).await?;
        progress = Progress::More;
    }
    let before = now - Duration::from_secs(u64::from(config.kept_days) * 86_400);
    for tenant in due::tenants_with_old_deliveries(jobs, before).await? {
        let mut tx = state.tx(tenant).await?;
        if webhook_delivery::forget(&mut tx, before, i64::from(config.sweep_batch)).await? > 0 {
            progress = Progress::More;
        }
        tx.commit().await?;
    }
    Ok(progress)
}
