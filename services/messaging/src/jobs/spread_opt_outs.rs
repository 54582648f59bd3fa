//! Opts out the others who share an address with whoever said STOP: those that the request itself had no time for.

use std::{sync::Arc, time::Duration};

use lethe_ambient::Tasks;
use lethe_service::{Job, Progress};

use crate::{
    error::Error,
    state::State,
    store::{due, opt_out},
};

const INTERVAL: Duration = Duration::from_secs(5);
/// For so long the request may be at it itself.
const YOUNG: Duration = Duration::from_secs(30);
/// How many of one round.
const BATCH: i64 = 100;

/// The job.
pub(crate) fn job(state: &Arc<State>, tasks: &Tasks) -> Job {
    let state = state.clone();
    Job::every("messaging.spread_opt_outs", tasks, INTERVAL, None, move || {
        let state = state.clone();
        async move { round(&state).await }
    })
}

/// One round. One that does not come to its end waits behind the others.
async fn round(state: &State) -> Result<Progress, Error> {
    let asked = due::opt_out_spreads(state.db.jobs(), state.clock.now() - YOUNG, BATCH).await?;
    let (mut progress, mut failed) = (Progress::Idle, None);
    for (tenant, contact) in asked {
        match state.spread(tenant, contact, None, usize::MAX).await {
            Ok(true) => {
                progress = Progress::More;
                continue;
            }
            Ok(false) => {}
            Err(error) => failed = Some(error),
        }
        let mut tx = state.tx(tenant).await?;
        opt_out::put_off_spread(&mut tx, contact, state.clock.now()).await?;
        tx.commit().await?;
    }
    failed.map_or(Ok(progress), Err)
}
