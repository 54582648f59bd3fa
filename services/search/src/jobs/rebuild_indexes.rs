//! Indexing a tenant anew from messaging, which leaves out whatever was erased: because the folder was wiped, the power
//! went away, the tenant was never seen, or the operator asked. Beside it events go on to be taken in; versions and
//! turns keep both right.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use lethe_ambient::Tasks;
use lethe_ids::{MessageId, TenantId};
use lethe_service::{Failure, Job, Progress};

use crate::{
    engine::Version,
    error::Error,
    indexer::{Changes, Indexer},
    store::{
        self,
        tenants::{Due, Rebuild},
    },
};

/// How often it looks for what nobody woke it for.
const INTERVAL: Duration = Duration::from_secs(2);
/// Ids of the index that are held at a time: 1.6 MB.
const WINDOW: usize = 100_000;
/// Messages that messaging is asked for by id in one turn.
const ASKED: usize = 200;

/// The job.
pub(crate) fn rebuild_indexes(indexer: Arc<Indexer>, tasks: &Tasks) -> Job {
    let wake = indexer.rebuild.clone();
    Job::every("search.rebuild_indexes", tasks, INTERVAL, Some(wake), move || {
        let indexer = indexer.clone();
        async move { round(&indexer).await.map_err(Failure::from) }
    })
}

async fn round(indexer: &Indexer) -> Result<Progress, Error> {
    // Whose index it is indexes it anew.
    if !indexer.leases.are_complete() {
        return Ok(Progress::Idle);
    }
    let Some(due) = store::tenants::due(&indexer.db).await? else { return Ok(Progress::Idle) };
    let rebuilt = rebuild(indexer, &due).await;
    let mut tx = indexer.db.tenant(due.tenant).await?;
    let indexed = match rebuilt {
        Ok(indexed) => indexed,
        Err(error) => {
            store::tenants::put_off(&mut tx).await?;
            tx.commit().await?;
            return Err(error);
        }
    };
    store::tenants::done(&mut tx, &due, indexed, indexer.clock.now()).await?;
    tx.commit().await?;
    tracing::info!(tenant = %due.tenant, indexed, "a tenant was indexed anew");
    Ok(Progress::More)
}

/// Answers how many messages there are to index. Both sides are read in pages: a tenant may be of any size.
async fn rebuild(indexer: &Indexer, due: &Due) -> Result<u64, Error> {
    let mut standing = match due.rebuild {
        Rebuild::Drop => {
            indexer.turn(due.tenant).await?.remove_tenant().await?;
            None
        }
        Rebuild::Reconcile => Some(Standing::default()),
    };
    let (mut after, mut indexed) = (Bytes::new(), 0);
    loop {
        let turn = indexer.turn(due.tenant).await?;
        let batch = indexer.source.everything(due.tenant, after).await?;
        indexed += batch.documents.len() as u64;
        let came: BTreeSet<MessageId> = batch.documents.iter().map(|document| document.message).collect();
        turn.write(Changes { puts: batch.documents, ..Changes::default() }).await?;
        drop(turn);
        after = batch.next;
        let until = if after.is_empty() { None } else { came.last() };
        if let Some(standing) = &mut standing
            && (after.is_empty() || until.is_some())
        {
            reconcile(indexer, due.tenant, standing, &came, until).await?;
        }
        if after.is_empty() {
            break;
        }
    }
    indexer.turn(due.tenant).await?.expunge().await?;
    Ok(indexed)
}

/// Removes what is in the index up to `until` and did not come with the page, unless it was indexed since: messaging is asked
/// by id.
async fn reconcile(
    indexer: &Indexer,
    tenant: TenantId,
    standing: &mut Standing,
    came: &BTreeSet<MessageId>,
    until: Option<&MessageId>,
) -> Result<(), Error> {
    loop {
        if standing.is_read() && !standing.are_all {
            standing.take(indexer.engine.documents_after(tenant, standing.last, WINDOW).await?, WINDOW);
        }
        for some in standing.missing(came, until).chunks(ASKED) {
            let turn = indexer.turn(tenant).await?;
            let batch = indexer.source.by_ids(tenant, some).await?;
            let removes = batch.absent.into_iter().map(|message| (message, Version::UNKNOWN)).collect();
            turn.write(Changes { removes, ..Changes::default() }).await?;
        }
        if !standing.is_read() || standing.are_all {
            return Ok(());
        }
    }
}

/// What is in the index, ascending, a window at a time.
#[derive(Default)]
struct Standing {
    window: VecDeque<MessageId>,
    /// The last that was ever in it.
    last: Option<MessageId>,
    /// Nothing comes after it.
    are_all: bool,
}

impl Standing {
    fn is_read(&self) -> bool {
        self.window.is_empty()
    }

    /// Takes the next window in, of at most `most`.
    fn take(&mut self, next: Vec<MessageId>, most: usize) {
        self.are_all = next.len() < most;
        self.last = next.last().copied().or(self.last);
        self.window = next.into();
    }

    /// Lets go of those up to `until`, or of all, and answers which of them did not come.
    fn missing(&mut self, came: &BTreeSet<MessageId>, until: Option<&MessageId>) -> Vec<MessageId> {
        let passed = self.window.partition_point(|message| until.is_none_or(|until| message <= until));
        self.window.drain(..passed).filter(|message| !came.contains(message)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u128) -> MessageId {
        MessageId::new(uuid::Uuid::from_u128(number))
    }

    /// The index has 0 to 99; of that messaging has what is even, and a page of it, whatever its size, tells what is missing.
    #[test]
    fn whatever_the_windows_and_pages_each_one_that_is_missing_is_named_once() {
        let index: Vec<MessageId> = (0..100).map(message).collect();
        for (window, page) in [(1, 1), (7, 10), (10, 7), (100, 3), (200, 100)] {
            let (mut standing, mut missing) = (Standing::default(), Vec::new());
            let all: Vec<MessageId> = (0..100).step_by(2).map(message).collect();
            let pages = all.chunks(page).map(|page| (page, page.last())).chain([(&all[..0], None)]);
            for (came, until) in pages {
                let came = came.iter().copied().collect();
                loop {
                    if standing.is_read() && !standing.are_all {
                        let after = standing.last;
                        let next = index.iter().filter(|one| after.is_none_or(|after| **one > after));
                        standing.take(next.take(window).copied().collect(), window);
                    }
                    missing.extend(standing.missing(&came, until));
                    if !standing.is_read() || standing.are_all {
                        break;
                    }
                }
            }
            let wanted: Vec<MessageId> = (1..100).step_by(2).map(message).collect();
            assert_eq!(missing, wanted, "windows of {window}, pages of {page}");
        }
    }
}
