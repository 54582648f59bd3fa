//! Sends what is due to the endpoints that it is due to: many at once, each in a turn of its own.

use std::{sync::Arc, time::Duration};

use lethe_ambient::Tasks;
use lethe_service::{Job, Progress};
use tokio::sync::Semaphore;

use crate::{error::Error, state::State, store::due};

/// The job.
pub(crate) fn job(state: &Arc<State>, tasks: &Tasks) -> Job {
    let interval = Duration::from_millis(state.config.webhooks.poll_ms);
    let slots = Arc::new(Semaphore::new(state.config.webhooks.endpoints_at_once.max(1)));
    let (state, wake) = (state.clone(), state.queued.clone());
    Job::every("messaging.send_webhooks", tasks, interval, Some(wake), move || {
        let (state, slots) = (state.clone(), slots.clone());
        async move { round(&state, &slots).await }
    })
}

/// One round: a turn begins for each endpoint with something due, as far as there are slots.
async fn round(state: &Arc<State>, slots: &Arc<Semaphore>) -> Result<Progress, Error> {
    let most = i64::try_from(slots.available_permits()).unwrap_or(i64::MAX);
    for (tenant, endpoint) in due::webhook_endpoints(state.db.jobs(), state.clock.now(), most).await? {
        let Ok(slot) = slots.clone().try_acquire_owned() else { break };
        let state = state.clone();
        state.tasks.clone().spawn("messaging.send_webhooks", async move {
            let turn = state.webhook_turn(tenant, endpoint).await;
            drop(slot);
            match turn {
                // Something may have become due meanwhile, and a slot is free.
                Ok(true) => state.queued.notify_one(),
                Ok(false) => {}
                Err(error) => {
                    let error: lethe_service::BuildError = error.into();
                    tracing::warn!(%endpoint, error = format!("{error:#}"), "a turn of a webhook endpoint failed");
                }
            }
        });
    }
    Ok(Progress::Idle)
}
