//! The relay: takes committed events from the outbox to the bus.
//!
//! It holds its share of 16 slots by leases, claims the oldest events of these slots, publishes them outside any
//! transaction and marks them with their place in the stream, a batch at a time. Nothing is marked before the bus has
//! answered, so a crash in between publishes again, which consumers do not mind. It also watches the stream: one that is
//! new, or behind what was marked, has lost events, and these are published again (`requeue`).

mod keep;
mod position;
mod publish;
mod requeue;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::connection::State;
use lethe_ambient::{Planted, planted};
use lethe_ids::{EventId, TenantId};
use lethe_service::{Job, Progress, names};
use opentelemetry::{KeyValue, metrics::Counter};
use serde::Deserialize;
use sqlx::Row;
use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

use crate::{Bus, Outbox, StreamConfig, event::Outgoing};
use position::Life;

/// How the relay works. Times in milliseconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelayConfig {
    /// How often it looks for events that nobody woke it for.
    pub poll_ms: u64,
    /// How long it lets events gather after it was woken, so that they share a batch.
    pub linger_ms: u64,
    /// Events in one claim, one window of publishing and one marking.
    pub batch: u32,
    /// How long a silent relay keeps its slots.
    pub lease_ms: u64,
    /// How often the stream is compared with what was marked.
    pub check_ms: u64,
    /// How long the bus may take over one batch.
    pub publish_timeout_ms: u64,
    /// How many events may wait while lost ones are put back into the queue: what is new waits behind these.
    pub requeue_backlog: u32,
    /// How often partitions are made (a day ahead) and dropped, and the inbox forgets.
    pub keep_ms: u64,
    /// Limits of the stream.
    pub stream: StreamConfig,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            poll_ms: 50,
            linger_ms: 20,
            batch: 500,
            lease_ms: 5_000,
            check_ms: 1_000,
            publish_timeout_ms: 10_000,
            requeue_backlog: 4_096,
            keep_ms: 600_000,
            stream: StreamConfig::default(),
        }
    }
}

/// The jobs that bring the outbox of this service to the stream of `area`, and keep its tables.
pub fn relay(bus: &Bus, area: &'static str, config: RelayConfig, outbox: &Outbox) -> Vec<Job> {
    let config = Arc::new(config);
    let keeper = Arc::new(AtomicBool::new(false));
    let lost = Arc::new(Notify::new());
    let deep = Arc::new(AtomicBool::new(true));
    let relay = Relay {
        bus: bus.clone(),
        area,
        me: bus.entropy.uuid4(),
        alarm: outbox.alarm(),
        slots: Vec::new(),
        tokens: Vec::new(),
        renew_at: Instant::now(),
        check_at: Instant::now(),
        connects: 0,
        floor: Uuid::nil(),
        deep_at: Instant::now(),
        deep: deep.clone(),
        life: None,
        incarnation: 0,
        published: opentelemetry::global::meter("lethe").u64_counter(names::EVENTS_PUBLISHED).build(),
        keeper: keeper.clone(),
        lost: lost.clone(),
        config: config.clone(),
    };
    vec![
        Job::new("relay_outbox", relay.run()),
        requeue::job(bus, &config, Signals { keeper, lost, deep }, outbox),
        keep::job(bus, &config),
    ]
}

/// Why a round came to nothing. Logged once for each streak of failures.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("the bus is away")]
    BusAway,
    #[error("the bus did not take a batch")]
    Publish(#[source] async_nats::Error),
    #[error("the stream cannot be made or read")]
    Stream(#[source] async_nats::Error),
    #[error("a store is silent")]
    Silent,
    #[error("PostgreSQL did not do as asked")]
    Sql(#[from] sqlx::Error),
}

/// What relay and requeue tell each other.
struct Signals {
    /// We hold slot 0: what one relay does for all is ours.
    keeper: Arc<AtomicBool>,
    /// The stream lost events.
    lost: Arc<Notify>,
    /// Old events are in the queue.
    deep: Arc<AtomicBool>,
}

/// How long a transaction may be open after it put an event, for the event to be found by the next claim. What is
/// committed later is found by a deep claim.
const LATE: Duration = Duration::from_secs(3);
/// A round that takes so much longer than publishing may waits for a server that fell silent, and every event behind it waits too.
const SILENT: Duration = Duration::from_secs(10);
/// How often everything is looked at.
const DEEP: Duration = Duration::from_secs(5);

struct Relay {
    bus: Bus,
    area: &'static str,
    config: Arc<RelayConfig>,
    /// Who holds the leases.
    me: Uuid,
    alarm: Arc<Notify>,
    slots: Vec<i16>,
    /// Fencing tokens of `slots`, in their order.
    tokens: Vec<i64>,
    renew_at: Instant,
    check_at: Instant,
    /// How often the connection was made, when the stream was last looked at.
    connects: u64,
    /// Where the next claim begins, unless it is a deep one.
    floor: Uuid,
    /// When the next claim looks at everything: for what was committed late.
    deep_at: Instant,
    /// Whether the next claim looks at everything at once.
    deep: Arc<AtomicBool>,
    life: Option<Life>,
    incarnation: u32,
    published: Counter<u64>,
    /// Whether we hold slot 0, and with it the work that one relay does for all.
    keeper: Arc<AtomicBool>,
    lost: Arc<Notify>,
}

impl Relay {
    async fn run(mut self) {
        let poll = Duration::from_millis(self.config.poll_ms);
        let linger = Duration::from_millis(self.config.linger_ms);
        let longest_round = Duration::from_millis(self.config.publish_timeout_ms) + SILENT;
        let mut failures = 0_u32;
        while !self.bus.tasks.is_stopping() {
            let ended = tokio::time::timeout(longest_round, self.round()).await;
            match ended.unwrap_or(Err(RelayError::Silent)) {
                Ok(Progress::More) => {
                    failures = 0;
                    tokio::task::yield_now().await;
                }
                Ok(Progress::Idle) => {
                    failures = 0;
                    tokio::select! {
                        _ = self.bus.tasks.rest(poll) => {}
                        () = self.alarm.notified() => { self.bus.tasks.rest(linger).await; }
                    }
                }
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(area = self.area, error = chain(&error), "events wait in the outbox");
                    }
                    self.life = None;
                    self.deep.store(true, Ordering::Relaxed);
                    self.bus.tasks.rest(poll * (1 << failures.min(5))).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
        // The next relay need not wait for the end of our leases; when this fails, it waits.
        let _ = sqlx::query("select outbox_release_v1($1)").bind(self.me).execute(self.bus.db.jobs()).await;
    }

    /// One batch, and before it whatever is due.
    async fn round(&mut self) -> Result<Progress, RelayError> {
        self.lease().await?;
        if self.slots.is_empty() {
            return Ok(Progress::Idle);
        }
        if self.bus.nats.client().connection_state() != State::Connected {
            return Err(RelayError::BusAway);
        }
        let life = self.position().await?;
        let (batch, known) = self.claim().await?;
        if batch.is_empty() {
            return Ok(Progress::Idle);
        }
        let more = batch.len() == self.config.batch as usize;
        let published = self.publish(&batch).await?;
        if self.connected() != self.connects {
            // The server came back in between: what it acknowledged before may be gone. Look first, then publish again.
            self.life = None;
            return Ok(Progress::More);
        }
        if let Some(first) =
            published.positions.iter().flatten().filter(|at| !at.again).map(|at| at.seq).min()
            && first <= known
        {
            self.fell_behind(life, first).await?;
            return Ok(Progress::More);
        }
        self.mark(life, &batch, &published.positions).await?;
        if let Some(refused) = published.refused {
            return Err(refused);
        }
        self.floor = self.floor.max(shortly_before(&batch));
        Ok(if more { Progress::More } else { Progress::Idle })
    }

    /// Takes or renews the leases, three times in their length.
    async fn lease(&mut self) -> Result<(), RelayError> {
        if Instant::now() < self.renew_at {
            return Ok(());
        }
        let length = Duration::from_millis(self.config.lease_ms);
        let lease = match planted(Planted::RelayWithoutLease) {
            false => "select slot, token from outbox_lease_v1($1, $2 * interval '1 millisecond')",
            true => {
                "select slot, token from outbox_slots where holder is distinct from $1 and $2::float8 > 0"
            }
        };
        let rows = sqlx::query(lease)
            .bind(self.me)
            .bind(self.config.lease_ms as f64)
            .fetch_all(self.bus.db.jobs())
            .await?;
        let slots = rows.iter().map(|row| row.try_get("slot")).collect::<Result<Vec<i16>, _>>()?;
        if slots != self.slots {
            tracing::info!(area = self.area, slots = slots.len(), "slots leased");
            self.deep.store(true, Ordering::Relaxed);
        }
        self.tokens = rows.iter().map(|row| row.try_get("token")).collect::<Result<_, _>>()?;
        self.slots = slots;
        self.keeper.store(self.slots.contains(&0), Ordering::Relaxed);
        self.renew_at = Instant::now() + length / 3;
        Ok(())
    }

    /// The oldest events of our slots that are not published, and the stream's position as of then.
    async fn claim(&mut self) -> Result<(Vec<Outgoing>, u64), RelayError> {
        let deep = self.deep.swap(false, Ordering::Relaxed) || Instant::now() >= self.deep_at;
        let rows = sqlx::query("select * from outbox_claim_v1($1, $2, $3)")
            .bind(&self.slots)
            .bind(if deep { Uuid::nil() } else { self.floor })
            .bind(i32::try_from(self.config.batch).unwrap_or(i32::MAX))
            .fetch_all(self.bus.db.jobs())
            .await?;
        if deep {
            self.deep_at = Instant::now() + DEEP;
            if rows.len() == self.config.batch as usize {
                // There may be more of the old.
                self.deep.store(true, Ordering::Relaxed);
            }
        }
        let mut known = 0;
        let mut batch = Vec::with_capacity(rows.len());
        for row in rows {
            known = row.try_get::<i64, _>(8)?.unsigned_abs();
            batch.push(Outgoing {
                tenant: TenantId::new(row.try_get(0)?),
                event_id: EventId::new(row.try_get(1)?),
                created_at: row.try_get(2)?,
                seq: row.try_get(4)?,
                kind: row.try_get(5)?,
                payload: row.try_get(6)?,
                trace_parent: row.try_get(7)?,
            });
        }
        Ok((batch, known))
    }

    /// Writes down where in the stream each event is, in one statement.
    async fn mark(
        &mut self,
        life: i32,
        batch: &[Outgoing],
        positions: &[Option<publish::Position>],
    ) -> Result<(), RelayError> {
        let published: Vec<(&Outgoing, i64)> = batch
            .iter()
            .zip(positions)
            .filter_map(|(event, at)| Some((event, i64::try_from(at.as_ref()?.seq).ok()?)))
            .collect();
        let times = || published.iter().map(|(event, _)| event.created_at);
        let (Some(oldest), Some(newest)) = (times().min(), times().max()) else { return Ok(()) };
        let marked: Option<i32> = sqlx::query_scalar("select outbox_mark_v1($1, $2, $3, $4, $5, $6, $7)")
            .bind(life)
            .bind(&self.slots)
            .bind(&self.tokens)
            .bind(oldest)
            .bind(newest)
            .bind(published.iter().map(|(event, _)| event.event_id.uuid()).collect::<Vec<_>>())
            .bind(published.iter().map(|(_, seq)| *seq).collect::<Vec<_>>())
            .fetch_one(self.bus.db.jobs())
            .await?;
        self.published.add(published.len() as u64, &[KeyValue::new(names::SERVICE, self.area)]);
        if marked.is_none_or(|marked| (marked as usize) < published.len()) {
            // Another life of the stream, or another holder of a slot: look at both before going on.
            self.life = None;
            self.deep.store(true, Ordering::Relaxed);
            self.renew_at = Instant::now();
        }
        Ok(())
    }

    /// How often the connection was made.
    fn connected(&self) -> u64 {
        self.bus.nats.client().statistics().connects.load(Ordering::Relaxed)
    }
}

/// The smallest event id (UUID version 7: milliseconds first) that could be of a transaction as old as [`LATE`], when the
/// youngest of `batch` was put.
fn shortly_before(batch: &[Outgoing]) -> Uuid {
    let millis = batch.last().map_or(0, |event| event.event_id.uuid().as_u128() >> 80);
    Uuid::from_u128(millis.saturating_sub(LATE.as_millis()) << 80)
}

/// An error and its causes in one line, for the operator.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}
