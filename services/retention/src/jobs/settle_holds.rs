//! Holds whose end has come are released, and what messaging did not answer yet is asked again.

use std::{sync::Arc, time::Duration};

use lethe_ambient::Tasks;
use lethe_service::{Failure, Job, Progress};
use tokio::sync::Notify;

use crate::{saga::Saga, store};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many of one round.
const BATCH: i64 = 100;

/// The job. `due` wakes the erasures that waited for a hold.
pub fn settle_holds(saga: &Saga, tasks: &Tasks, due: &Arc<Notify>) -> Job {
    let (saga, due) = (saga.clone(), due.clone());
    Job::every("retention.settle_holds", tasks, INTERVAL, None, move || {
        let (saga, due) = (saga.clone(), due.clone());
        async move {
            let holds = store::due_holds(&saga.db, saga.clock.now(), BATCH).await?;
            let mut progress = Progress::Idle;
            for (tenant, hold) in holds {
                match saga.settle_hold(tenant, hold).await {
                    Ok(()) => progress = Progress::More,
                    // It waits behind the others.
                    Err(error) => tracing::warn!(%hold, %error, "a legal hold waits"),
                }
            }
            if progress == Progress::More {
                due.notify_waiters();
            }
            Ok::<_, Failure>(progress)
        }
    })
}
