//! A change that is overdue while later ones of its contact are visible: its event is late, or will never come. All of
//! the contact is read again, and that closes the gap.

use std::{sync::Arc, time::Duration};

use lethe_ids::{ContactId, TenantId};
use lethe_service::{Job, Progress};

use crate::{
    error::Error,
    indexer::{Changes, Indexer},
    store,
};

/// Gaps that are looked at in a round.
const BATCH: u32 = 100;

/// How long one contact may keep the others waiting.
const LONGEST: Duration = Duration::from_secs(60);

/// The job.
pub(crate) fn close_gaps(indexer: Arc<Indexer>, tasks: &lethe_ambient::Tasks) -> Job {
    let age = Duration::from_millis(indexer.config.gap_ms);
    Job::every("search.close_gaps", tasks, age / 4, None, move || {
        let indexer = indexer.clone();
        async move { round(&indexer, age).await.map_err(lethe_service::Failure::from) }
    })
}

async fn round(indexer: &Indexer, age: Duration) -> Result<Progress, Error> {
    if !indexer.leases.are_complete() {
        return Ok(Progress::Idle);
    }
    let gaps = store::progress::gaps(&indexer.db, age, BATCH).await?;
    let mut failed = None;
    for (tenant, contact) in &gaps {
        // One contact that cannot be read does not keep the others waiting.
        let closed = tokio::time::timeout(LONGEST, close(indexer, *tenant, *contact)).await;
        let silent = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into());
        if let Err(error) = closed.unwrap_or_else(silent) {
            failed = Some(error);
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    // A contact that is being erased keeps its gap until the purge: it is not asked for again and again meanwhile.
    Ok(if gaps.len() < BATCH as usize { Progress::Idle } else { Progress::More })
}

async fn close(indexer: &Indexer, tenant: TenantId, contact: ContactId) -> Result<(), Error> {
    let turn = indexer.turn(tenant).await?;
    let mut progress = turn.progress(&[contact].into()).await?;
    let Some(known) = progress.get_mut(&contact) else { return Ok(()) };
    known.withheld = !turn.read_again(contact).await?;
    known.close();
    turn.write(Changes { progress, ..Changes::default() }).await?;
    Ok(())
}
