//! The leases of shards that this process holds. One that could not be renewed in time is none: writes stop before
//! another process may begin.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lethe_service::Database;
use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

use crate::{engine::FencingToken, store};

/// Leases held. Clones share them.
#[derive(Clone)]
pub(crate) struct Leases(Arc<Inner>);

struct Inner {
    db: Database,
    holder: Uuid,
    shards: u16,
    ttl: Duration,
    held: Mutex<BTreeMap<u16, Held>>,
    complete: Notify,
}

#[derive(Clone, Copy)]
struct Held {
    token: FencingToken,
    until: Instant,
}

impl Leases {
    /// None yet. `holder` is the index.
    pub(crate) fn new(db: Database, holder: Uuid, shards: u16, ttl: Duration) -> Self {
        Self(Arc::new(Inner { db, holder, shards, ttl, held: Mutex::default(), complete: Notify::new() }))
    }

    /// The token of a shard, while its lease is sure to be ours.
    pub(crate) fn token(&self, shard: u16) -> Option<FencingToken> {
        self.held().get(&shard).filter(|held| held.until > Instant::now()).map(|held| held.token)
    }

    /// Whether all shards are ours.
    pub(crate) fn are_complete(&self) -> bool {
        (0..self.0.shards).all(|shard| self.token(shard).is_some())
    }

    /// Waits until all shards are ours.
    pub(crate) async fn complete(&self) {
        loop {
            let complete = self.0.complete.notified();
            if self.are_complete() {
                return;
            }
            complete.await;
        }
    }

    /// Renews what is held and takes what is free.
    pub(crate) async fn keep(&self) -> Result<(), sqlx::Error> {
        let inner = &self.0;
        // From before the question: PostgreSQL counts from later.
        let until = Instant::now() + inner.ttl;
        let held: Vec<(u16, i64)> = self.held().iter().map(|(shard, held)| (*shard, held.token.0)).collect();
        if !held.is_empty() {
            let renewed = store::leases::renew(&inner.db, inner.holder, &held, inner.ttl).await?;
            let mut leases = self.held();
            leases.retain(|shard, _| renewed.contains(shard));
            leases.values_mut().for_each(|held| held.until = until);
        }
        if !self.are_complete() {
            let taken = store::leases::take(&inner.db, inner.holder, inner.shards, inner.ttl).await?;
            let taken =
                taken.into_iter().map(|(shard, token)| (shard, Held { token: FencingToken(token), until }));
            self.held().extend(taken);
        }
        if self.are_complete() {
            inner.complete.notify_waiters();
        }
        Ok(())
    }

    /// Lets go of all that is held, so that the next process need not wait.
    pub(crate) async fn give_back(&self) -> Result<(), sqlx::Error> {
        let held: Vec<(u16, i64)> =
            std::mem::take(&mut *self.held()).iter().map(|(shard, held)| (*shard, held.token.0)).collect();
        store::leases::renew(&self.0.db, self.0.holder, &held, Duration::ZERO).await?;
        Ok(())
    }

    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<u16, Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
