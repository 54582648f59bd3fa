//! The one way into the index. Writes of a shard take turns: in a [`Turn`] messaging is read, the fences are checked, the
//! engine is written, and the fences are checked again; what was fenced meanwhile is undone before anybody is told
//! that it is done. A turn needs the shard's lease, whose token goes along with each write. A write that nobody waits for
//! any more goes to its end, and its turn with it.
//!
//! A fence that is committed waits for one turn of its shard: then no writer is under way that has not met it.

mod source;
mod turn;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use lethe_ambient::{Clock, Entropy, Tasks};
use lethe_ids::TenantId;
use lethe_service::{Database, Env};
use tokio::sync::{Notify, watch};

use crate::{config::Config, engine::Engine, error::Error, leases::Leases, store};
pub(crate) use source::{LARGEST_ANSWER, Source};
pub(crate) use turn::{Changes, Turn};

/// What writes to the index. Shared by events, jobs and RPCs.
pub(crate) struct Indexer {
    pub(crate) db: Database,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) leases: Leases,
    pub(crate) source: Source,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) config: Config,
    /// Where writes go to their end.
    tasks: Tasks,
    /// One for each shard: held for the length of a turn.
    gates: Vec<Arc<tokio::sync::Mutex<()>>>,
    /// Tenants that are noted in the database.
    known: Mutex<HashSet<TenantId>>,
    /// Counts the commits of progress, for those who wait for one.
    progressed: watch::Sender<u64>,
    /// Somebody asked for a rebuild.
    pub(crate) rebuild: Arc<Notify>,
    /// What the index lacks is known.
    is_settled: AtomicBool,
}

impl Indexer {
    pub(crate) fn new(
        db: Database,
        engine: Arc<dyn Engine>,
        leases: Leases,
        env: &Env,
        config: Config,
    ) -> Self {
        let gates = (0..engine.shards()).map(|_| Arc::default()).collect();
        let source = Source::new(env.peers.clone(), env.entropy.clone(), config.messaging_timeout());
        Self {
            db,
            engine,
            leases,
            source,
            clock: env.clock.clone(),
            entropy: env.entropy.clone(),
            config,
            tasks: env.tasks.clone(),
            gates,
            known: Mutex::default(),
            progressed: watch::Sender::new(0),
            rebuild: Arc::default(),
            is_settled: AtomicBool::new(false),
        }
    }

    /// Waits for the shard of `tenant` and holds it.
    ///
    /// # Errors
    /// [`Error::ShardElsewhere`] without the shard's lease.
    pub(crate) async fn turn(&self, tenant: TenantId) -> Result<Turn<'_>, Error> {
        let shard = self.engine.shard(tenant);
        let gate = self.gates[usize::from(shard)].clone().lock_owned().await;
        let token = self.leases.token(shard).ok_or(Error::ShardElsewhere)?;
        Ok(Turn::new(self, tenant, shard, token, Arc::new(gate)))
    }

    /// Removes the bytes of what is deleted in a shard, between two turns.
    pub(crate) async fn expunge(&self, shard: u16) -> Result<(), Error> {
        let _gate = self.gates[usize::from(shard)].lock().await;
        if self.leases.token(shard).is_some() {
            self.engine.expunge(shard).await?;
        }
        Ok(())
    }

    /// Notes a tenant that was never seen, once a process.
    pub(crate) async fn greet(&self, tenant: TenantId) -> Result<(), Error> {
        if self.known().contains(&tenant) {
            return Ok(());
        }
        let mut tx = self.db.tenant(tenant).await?;
        store::tenants::greet(&mut tx).await?;
        tx.commit().await?;
        self.known().insert(tenant);
        self.rebuild.notify_one();
        Ok(())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<TenantId>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the index lacks is asked for: from now on the database says what is visible.
    pub(crate) fn settle(&self) {
        self.is_settled.store(true, Ordering::Release);
        self.tell_progress();
    }

    /// Another process has the shards: nothing more is said of this index, and everything in it goes.
    ///
    /// # Errors
    /// When the disk fails: then it is tried again before any shard may be taken.
    pub(crate) async fn step_down(&self) -> Result<(), Error> {
        self.is_settled.store(false, Ordering::Release);
        for shard in 0..self.engine.shards() {
            let _gate = self.gates[usize::from(shard)].lock().await;
            self.engine.clear(shard).await?;
        }
        self.leases.stepped_down();
        Ok(())
    }

    /// Whether the shard of `tenant` is ours to answer for.
    pub(crate) fn holds(&self, tenant: TenantId) -> bool {
        self.leases.token(self.engine.shard(tenant)).is_some()
    }

    /// Whether [`Indexer::settle`] was called.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Acquire)
    }

    /// Changes each time that progress was committed in this process.
    pub(crate) fn progressed(&self) -> watch::Receiver<u64> {
        self.progressed.subscribe()
    }

    fn tell_progress(&self) {
        self.progressed.send_modify(|count| *count = count.wrapping_add(1));
    }
}
