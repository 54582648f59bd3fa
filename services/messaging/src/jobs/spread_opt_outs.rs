//! Opts out the others who share an address with whoever said STOP: those that the request itself had no time for.

use std::{sync::Arc, time::Duration};

use lethe_ambient::Tasks;
use lethe_ids::{ContactId, TenantId};
use lethe_service::{BuildError, Job, Progress, Round};

use crate::{
    error::Error,
    state::State,
    store::{due, opt_out},
};

const NAME: &str = "messaging.spread_opt_outs";
const INTERVAL: Duration = Duration::from_secs(5);
/// For so long the request may be at it itself.
const YOUNG: Duration = Duration::from_secs(30);
/// How many of one round.
const BATCH: i64 = 100;

/// The job.
pub(crate) fn job(state: &Arc<State>, tasks: &Tasks) -> Job {
    let state = state.clone();
    Job::every(NAME, tasks, INTERVAL, None, move || {
        let state = state.clone();
        async move { round(&state).await }
    })
}

/// One round. One that does not come to its end waits behind the others.
async fn round(state: &State) -> Result<Progress, BuildError> {
    let mut round = Round::of(NAME);
    for (tenant, contact) in due::opt_out_spreads(state.db.jobs(), state.clock.now() - YOUNG, BATCH).await? {
        let spread = state.spread(tenant, contact, None, usize::MAX).await;
        if !matches!(spread, Ok(true)) {
            round.note(tenant, put_off(state, tenant, contact).await);
        }
        round.note(tenant, spread.map(|all| if all { Progress::More } else { Progress::Idle }));
    }
    round.end()
}

async fn put_off(state: &State, tenant: TenantId, contact: ContactId) -> Result<Progress, Error> {
    let mut tx = state.tx(tenant).await?;
    opt_out::put_off_spread(&mut tx, contact, state.clock.now()).await?;
    tx.commit().await?;
    Ok(Progress::Idle)
}
