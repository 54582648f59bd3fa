//! Moves every erasure that is due. Several run at a time, in this process and in others; a claim keeps them apart.

use std::sync::Arc;

use lethe_ambient::Tasks;
use lethe_service::{Job, Progress};
use tokio::sync::Notify;

use crate::saga::{Advanced, Saga};

/// The job's loops. `due` wakes one of them when an erasure was confirmed.
pub fn advance_erasures(saga: &Saga, tasks: &Tasks, due: &Arc<Notify>) -> Vec<Job> {
    (0..saga.config.concurrency)
        .map(|_| {
            let (saga, stop) = (saga.clone(), tasks.clone());
            let interval = saga.config.interval();
            Job::every("retention.advance_erasures", tasks, interval, Some(due.clone()), move || {
                let (saga, stop) = (saga.clone(), stop.clone());
                Box::pin(async move { round(&saga, &stop).await })
            })
        })
        .collect()
}

/// Claims one erasure that is due and moves it as far as it goes now.
async fn round(saga: &Saga, tasks: &Tasks) -> Result<Progress, sqlx::Error> {
    for (tenant, erasure) in saga.due().await? {
        let Some(lease) = saga.claim(tenant, erasure).await? else { continue };
        loop {
            // Asked to stop, a step is dropped where it is: the next process does it again.
            let advanced = tokio::select! {
                biased;
                () = tasks.stopped() => {
                    saga.release(lease, Some(saga.clock.now())).await?;
                    return Ok(Progress::Idle);
                }
                advanced = saga.advance(lease) => advanced?,
            };
            match advanced {
                Advanced::Did(..) | Advanced::Failed(..) | Advanced::Entered(_) => {}
                Advanced::Waits(at) => {
                    saga.release(lease, Some(at)).await?;
                    break;
                }
                Advanced::Rests => {
                    saga.release(lease, None).await?;
                    break;
                }
                Advanced::Lost => break,
            }
        }
        return Ok(Progress::More);
    }
    Ok(Progress::Idle)
}
