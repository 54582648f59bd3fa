//! The acceptor: takes all messages that wait at the moment and stores them in one transaction, so that requests
//! share a commit. Nobody waits for company: whoever comes alone goes alone.
//!
//! Messages of one contact go by one lane, so lanes do not wait for each other's locks, and a contact's messages are
//! accepted in the order in which they came. A full queue refuses.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use lethe_ambient::{Planted, Tasks, planted};
use lethe_outbox::Outbox;
use lethe_service::{Database, Failure};
use sqlx::{Postgres, pool::PoolConnection};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout},
};

use crate::{
    config::AcceptConfig,
    error::Error,
    store::message::{self, Item, Outcome},
};

/// Why a batch has no outcomes.
enum Trouble {
    /// PostgreSQL said no, so nothing of the batch is there.
    Refused(Failure),
    /// Nobody knows what became of it.
    Unknown(Failure),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        let refused = error.as_database_error().is_some();
        if refused { Self::Refused(error.into()) } else { Self::Unknown(error.into()) }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(failure) | Trouble::Unknown(failure) => failure,
        }
    }
}

struct Waiting {
    item: Item,
    answer: oneshot::Sender<Result<Outcome, Failure>>,
}

/// The way in for messages. Clones share the lanes.
#[derive(Clone)]
pub(crate) struct Acceptor(Arc<[mpsc::Sender<Waiting>]>);

impl Acceptor {
    /// Starts the lanes. They end when the process stops and nobody waits any more.
    pub(crate) fn start(db: &Database, outbox: &Outbox, config: &AcceptConfig, tasks: &Tasks) -> Self {
        let lanes = (0..config.lanes.max(1)).map(|_| {
            let (sender, receiver) = mpsc::channel(config.queue.max(1));
            let lane = Lane {
                db: db.clone(),
                outbox: outbox.clone(),
                batch: config.batch.max(1),
                limit: Duration::from_millis(config.timeout_ms),
            };
            let stop = tasks.clone();
            tasks.spawn("accept_messages", async move { lane.run(receiver, &stop).await });
            sender
        });
        Self(lanes.collect())
    }

    /// Has the item accepted, and answers what became of it.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many wait; [`Error::TimedOut`] or a database error, after which the outcome is unknown.
    pub(crate) async fn accept(&self, item: Item) -> Result<Outcome, Error> {
        let mut hasher = DefaultHasher::new();
        item.contact.hash(&mut hasher);
        let lane = usize::try_from(hasher.finish() % self.0.len() as u64).unwrap_or(0);
        let (answer, outcome) = oneshot::channel();
        self.0[lane].try_send(Waiting { item, answer }).map_err(|_| Error::Busy)?;
        outcome.await.map_err(|_| Error::Busy)?.map_err(Error::Shared)
    }
}

/// For so long a lane keeps a connection to itself: under load it stays with one server process, whose caches are warm,
/// and one that lay still longer may be dead.
const HELD_FOR: Duration = Duration::from_millis(100);

struct Held {
    connection: PoolConnection<Postgres>,
    used: Instant,
}

struct Lane {
    db: Database,
    outbox: Outbox,
    batch: usize,
    limit: Duration,
}

impl Lane {
    async fn run(&self, mut waiting: mpsc::Receiver<Waiting>, tasks: &Tasks) {
        let mut batch = Vec::with_capacity(self.batch);
        let mut held = None;
        loop {
            let taken = tokio::select! {
                biased;
                taken = waiting.recv_many(&mut batch, self.batch) => taken,
                () = tasks.stopped() => 0,
                () = sleep(HELD_FOR), if held.is_some() => {
                    held = None;
                    continue;
                }
            };
            if taken == 0 {
                return;
            }
            // Whoever stopped waiting did so before anything happened.
            batch.retain(|one| !one.answer.is_closed());
            batch.sort_by_key(|one| (one.item.tenant, one.item.contact));
            self.settle(&mut held, &mut batch).await;
        }
    }

    /// Accepts the batch and answers everybody in it.
    async fn settle(&self, held: &mut Option<Held>, batch: &mut Vec<Waiting>) {
        if batch.is_empty() {
            return;
        }
        match self.call(held, batch).await {
            Ok(outcomes) => {
                self.outbox.wake();
                for (one, outcome) in batch.drain(..).zip(outcomes) {
                    let _ = one.answer.send(Ok(outcome));
                }
            }
            // Nothing of the batch is there: one item's trouble is not to be all the others'.
            Err(Trouble::Refused(_)) if batch.len() > 1 => {
                for one in batch.drain(..) {
                    let outcome = self.call(held, std::slice::from_ref(&one)).await;
                    self.outbox.wake();
                    let first = |outcomes: Vec<Outcome>| outcomes.first().copied();
                    let none = || Failure::internal("no outcome");
                    let outcome = outcome.map_err(Failure::from).and_then(|all| first(all).ok_or_else(none));
                    let _ = one.answer.send(outcome);
                }
            }
            Err(trouble) => {
                let failure = Failure::from(trouble);
                for one in batch.drain(..) {
                    let _ = one.answer.send(Err(failure.clone()));
                }
            }
        }
    }

    /// One call of the SQL function, which is one transaction.
    async fn call(&self, held: &mut Option<Held>, batch: &[Waiting]) -> Result<Vec<Outcome>, Trouble> {
        let items: Vec<&Item> = batch.iter().map(|one| &one.item).collect();
        let call = async {
            // Autocommit: the one statement is the transaction.
            let mut connection = match held.take().filter(|held| held.used.elapsed() < HELD_FOR) {
                Some(held) => held.connection,
                None => self.db.app().acquire().await?,
            };
            if planted(Planted::AcknowledgedBeforeCommit) {
                sqlx::query("begin").execute(&mut *connection).await?;
            }
            let outcomes = message::accept(&mut connection, &items).await?;
            *held = Some(Held { connection, used: Instant::now() });
            Ok(outcomes)
        };
        match timeout(self.limit, call).await {
            Ok(outcome) => outcome.map_err(|error: sqlx::Error| error.into()),
            Err(_) => Err(Trouble::Unknown(Error::TimedOut.into())),
        }
    }
}
