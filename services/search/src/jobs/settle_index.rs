//! Before the first event: the shards must be ours, and whatever the index lacks of what this database believes it to
//! have is asked for again. A process that waits for another's shards changes nothing until it has them.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use lethe_ambient::Tasks;
use lethe_service::Job;
use uuid::Uuid;

use crate::{
    engine::Opened,
    indexer::Indexer,
    store::{self, tenants::Rebuild},
};

/// Tenants that are asked for in one page.
const PAGE: u32 = 1_000;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Runs the consumers that `jobs` makes while the shards are ours and the index is settled. When another process takes
/// the shards, the index here is emptied, and waits for its turn to be filled anew.
pub(crate) fn consume_events(
    jobs: impl Fn() -> Vec<Job> + Send + 'static,
    indexer: Arc<Indexer>,
    index: Uuid,
    opened: Opened,
    tasks: &Tasks,
) -> Job {
    let tasks = tasks.clone();
    Job::new("search.consume_events", async move {
        let mut opened = opened;
        loop {
            tokio::select! {
                () = indexer.leases.complete() => {}
                () = tasks.stopped() => return,
            }
            while let Err(error) = settle(&indexer, index, opened).await {
                tracing::warn!(%error, "the index cannot be compared with the database");
                if !tasks.rest(PAUSE).await {
                    return;
                }
            }
            tokio::select! {
                _stopping = join_all(jobs().into_iter().map(|job| job.run)) => return,
                () = indexer.leases.lost() => {}
            }
            while let Err(error) = indexer.step_down().await {
                tracing::error!(%error, "the index of before could not be emptied");
                if !tasks.rest(PAUSE).await {
                    return;
                }
            }
            opened = Opened::Empty;
        }
    })
}

async fn settle(indexer: &Indexer, index: Uuid, opened: Opened) -> Result<(), sqlx::Error> {
    let known = store::identity::read(&indexer.db).await?;
    let rebuild = if known != Some(index) {
        Some(Rebuild::Drop)
    } else if opened == Opened::Unsure {
        Some(Rebuild::Reconcile)
    } else {
        None
    };
    if let Some(rebuild) = rebuild {
        let tenants = ask_all(indexer, rebuild).await?;
        if tenants > 0 {
            tracing::warn!(?opened, tenants, "the index is not what it was and is read again from messaging");
        }
        // Last: if anything before fails, the next start still sees another index than this database knows.
        store::identity::write(&indexer.db, index).await?;
        indexer.rebuild.notify_one();
    }
    indexer.settle();
    Ok(())
}

/// Asks for a rebuild of every tenant. Answers how many there are.
async fn ask_all(indexer: &Indexer, rebuild: Rebuild) -> Result<u64, sqlx::Error> {
    let (mut after, mut asked) = (Uuid::nil(), 0);
    loop {
        let tenants = store::tenants::all(&indexer.db, after, PAGE).await?;
        let Some(last) = tenants.last() else { return Ok(asked) };
        after = last.uuid();
        for tenant in tenants {
            let mut tx = indexer.db.tenant(tenant).await?;
            store::tenants::ask(&mut tx, rebuild).await?;
            tx.commit().await?;
            asked += 1;
        }
    }
}
