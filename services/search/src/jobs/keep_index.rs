//! Keeping the index: its leases, its durability, the bytes of what was deleted in it, and its end.

use std::{future::Future, sync::Arc, time::Duration};

use lethe_ambient::Tasks;
use lethe_service::{Failure, Job, Progress};

use crate::{
    engine::{Engine, EngineError},
    error::Error,
    indexer::Indexer,
    leases::Leases,
};

/// Renews the leases of the shards, thrice in their time. An answer that comes later than they last renews nothing.
pub(crate) fn hold_shards(leases: Leases, tasks: &Tasks, ttl: Duration) -> Job {
    Job::every_within("search.hold_shards", ttl, tasks, ttl / 3, None, move || {
        let leases = leases.clone();
        async move { leases.keep().await.map(|()| Progress::Idle) }
    })
}

/// Makes what is visible survive a loss of power.
pub(crate) fn sync_index(engine: Arc<dyn Engine>, tasks: &Tasks, interval: Duration) -> Job {
    Job::every("search.sync_index", tasks, interval, None, move || {
        let engine = engine.clone();
        async move { engine.sync().await.map(|()| Progress::Idle) }
    })
}

/// Removes the bytes of deleted and edited messages: the stated bound for what no erasure waits for.
pub(crate) fn expunge_deletes(indexer: Arc<Indexer>, tasks: &Tasks, interval: Duration) -> Job {
    Job::every("search.expunge_deletes", tasks, interval, None, move || {
        let indexer = indexer.clone();
        async move {
            for shard in 0..indexer.engine.shards() {
                indexer.expunge(shard).await.map_err(|error: Error| Failure::from(error))?;
            }
            Ok::<_, Failure>(Progress::Idle)
        }
    })
}

/// When the process stops, closes the index and gives its shards back.
pub(crate) fn close_index<F>(close: impl FnOnce() -> F + Send + 'static, leases: Leases, tasks: &Tasks) -> Job
where
    F: Future<Output = Result<(), EngineError>> + Send,
{
    let tasks = tasks.clone();
    Job::new("search.close_index", async move {
        tasks.stopped().await;
        if let Err(error) = close().await {
            tracing::warn!(%error, "the index was not closed; it is compared with messaging at the next start");
        }
        if let Err(error) = leases.give_back().await {
            tracing::warn!(%error, "the shards were not given back; their leases run out");
        }
    })
}
