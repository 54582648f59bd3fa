//! Indexing a tenant anew from messaging, which leaves out whatever was erased: because the folder was wiped, the power
//! went away, the tenant was never seen, or the operator asked. Beside it events go on to be taken in; versions and
//! turns keep both right.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use lethe_ambient::Tasks;
use lethe_ids::MessageId;
use lethe_service::{Failure, Job, Progress};

use crate::{
    error::Error,
    indexer::{Changes, Indexer},
    store::{
        self,
        tenants::{Due, Rebuild},
    },
};

/// How often it looks for what nobody woke it for.
const INTERVAL: Duration = Duration::from_secs(2);

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

/// Answers how many messages there are to index.
async fn rebuild(indexer: &Indexer, due: &Due) -> Result<u64, Error> {
    let mut left: BTreeSet<MessageId> = BTreeSet::new();
    {
        let turn = indexer.turn(due.tenant).await?;
        match due.rebuild {
            Rebuild::Drop => turn.remove_tenant().await?,
            Rebuild::Reconcile => {
                left.extend(indexer.engine.documents(due.tenant, None).await?);
            }
        }
    }
    let (mut after, mut indexed) = (bytes::Bytes::new(), 0);
    loop {
        let turn = indexer.turn(due.tenant).await?;
        let batch = indexer.source.everything(due.tenant, after).await?;
        indexed += batch.documents.len() as u64;
        for document in &batch.documents {
            left.remove(&document.message);
        }
        turn.write(Changes { puts: batch.documents, ..Changes::default() }).await?;
        after = batch.next;
        if after.is_empty() {
            break;
        }
    }
    // What was there and did not come again may have been indexed meanwhile: messaging is asked by id.
    let left: Vec<MessageId> = left.into_iter().collect();
    for some in left.chunks(200) {
        let turn = indexer.turn(due.tenant).await?;
        let batch = indexer.source.by_ids(due.tenant, some).await?;
        let removes =
            batch.absent.into_iter().map(|message| (message, crate::engine::Version::UNKNOWN)).collect();
        turn.write(Changes { removes, ..Changes::default() }).await?;
    }
    indexer.turn(due.tenant).await?.expunge().await?;
    Ok(indexed)
}
