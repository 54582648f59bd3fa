//! The leases of shards that this process holds, all of them or none. One that could not be renewed in time is none: writes
//! stop before another process may begin. Once another has begun, the index here is no longer the one that this database
//! is about: nothing is taken again before it was emptied ([`Leases::stepped_down`]).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lethe_service::Database;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
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
    /// Another process has taken them.
    lost: watch::Sender<bool>,
}

#[derive(Clone, Copy)]
struct Held {
    token: FencingToken,
    until: Instant,
}

impl Leases {
    /// None yet. `holder` is the index.
    pub(crate) fn new(db: Database, holder: Uuid, shards: u16, ttl: Duration) -> Self {
        Self(Arc::new(Inner {
            db,
            holder,
            shards,
            ttl,
            held: Mutex::default(),
            complete: Notify::new(),
            lost: watch::Sender::new(false),
        }))
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

    /// Waits until another process has taken shards that were ours.
    pub(crate) async fn lost(&self) {
        // The sender lives as long as we do.
        let _ = self.0.lost.subscribe().wait_for(|lost| *lost).await;
    }

    /// Nothing is in the index any more: shards may be taken again.
    pub(crate) fn stepped_down(&self) {
        self.0.lost.send_replace(false);
    }

    /// Renews what is held and takes what is free.
    pub(crate) async fn keep(&self) -> Result<(), sqlx::Error> {
        let inner = &self.0;
        // From before the question: PostgreSQL counts from later.
        let until = Instant::now() + inner.ttl;
        let held: Vec<(u16, i64)> = self.held().iter().map(|(shard, held)| (*shard, held.token.0)).collect();
        if !held.is_empty() {
            let renewed = store::leases::renew(&inner.db, inner.holder, &held, inner.ttl).await?;
            if renewed.len() < held.len() {
                tracing::warn!(
                    "another process has taken the shards: this one stops writing, and empties its index"
                );
                // Said first: whether PostgreSQL hears of it or not, nothing is ours any more.
                inner.lost.send_replace(true);
                self.give_back().await?;
            }
            self.held().values_mut().for_each(|held| held.until = until);
        }
        if !self.are_complete() && !*inner.lost.borrow() {
            let taken = store::leases::take(&inner.db, inner.holder, inner.shards, inner.ttl).await?;
            let taken =
                taken.into_iter().map(|(shard, token)| (shard, Held { token: FencingToken(token), until }));
            self.held().extend(taken);
            if !self.are_complete() {
                // Two that began at once must not keep half of them each.
                self.give_back().await?;
            }
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
