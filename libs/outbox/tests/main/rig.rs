//! One service's database, a bus, and a relay and consumers on them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use lethe_ambient::Tasks;
use lethe_ids::TenantId;
use lethe_outbox::{
    Bus, Consume, ConsumeError, ConsumerConfig, Event, Notification, Outbox, RelayConfig, consumer, kind,
    relay, stream_name,
};
use lethe_proto::event::MessageChanged;
use lethe_service::{BASE_MIGRATION, Database, DatabaseConfig, Job, TenantTx};
use lethe_testkit::{Databases, World};
use prost::Message;
use sqlx::PgConnection;
use uuid::Uuid;

pub(crate) const AREA: &str = "messaging";

pub(crate) struct Rig {
    pub(crate) world: World,
    pub(crate) database: DatabaseConfig,
    pub(crate) bus: Bus,
    pub(crate) outbox: Outbox,
    pub(crate) tenant: TenantId,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let world = World::new(&[AREA]).await;
        let mut migrations = vec![BASE_MIGRATION];
        migrations.extend(lethe_outbox::migrations());
        let database = Databases::fresh(AREA, &migrations).await;
        let db = Database::connect(AREA, &database).await.unwrap();
        let bus = Bus::new(&db, &world.env(AREA).await);
        let outbox = Outbox::new(kind::MESSAGING_AUDIT_RECORDED, world.clock.clone(), world.entropy.clone());
        let tenant = world.tenant();
        Self { world, database, bus, outbox, tenant }
    }

    /// Past row-level security, for looking.
    pub(crate) async fn superuser(&self) -> PgConnection {
        Databases::superuser(&self.database).await
    }

    /// Runs jobs until the rig stops.
    pub(crate) fn run(&self, jobs: Vec<Job>) {
        for job in jobs {
            self.world.tasks.spawn(job.name, job.run);
        }
    }

    /// Quick to notice, so that a test need not wait.
    pub(crate) fn relay_config() -> RelayConfig {
        RelayConfig { lease_ms: 1_500, check_ms: 200, keep_ms: 100, ..RelayConfig::default() }
    }

    pub(crate) fn relay(&self) {
        self.run(relay(&self.bus, AREA, Self::relay_config(), &self.outbox));
    }

    /// A relay that can be killed, as a process would be.
    pub(crate) fn mortal_relay(&self) -> Mortal {
        let bus = Bus { tasks: Tasks::new(), ..self.bus.clone() };
        let jobs = relay(&bus, AREA, Self::relay_config(), &self.outbox);
        #[allow(clippy::disallowed_methods, reason = "only a bare task can be aborted")]
        Mortal(jobs.into_iter().map(|job| tokio::spawn(job.run)).collect())
    }

    pub(crate) fn consume<H: Consume>(&self, name: &'static str, handler: &Arc<H>) {
        self.run(consumer(
            &self.bus,
            name,
            &[kind::MESSAGE_CHANGED],
            handler.clone(),
            Self::consumer_config(),
        ));
    }

    fn consumer_config() -> ConsumerConfig {
        ConsumerConfig { backoff_ms: vec![50], max_deliver: 4, ..ConsumerConfig::default() }
    }

    /// A consumer in a process of its own, which can be asked to stop, or killed.
    pub(crate) fn mortal_consumer<H: Consume>(
        &self,
        name: &'static str,
        handler: &Arc<H>,
    ) -> (Tasks, Mortal) {
        let tasks = Tasks::new();
        let bus = Bus { tasks: tasks.clone(), ..self.bus.clone() };
        // What was in the hands of one who was killed comes again soon.
        let config = ConsumerConfig { ack_wait_ms: 300, ..Self::consumer_config() };
        let jobs = consumer(&bus, name, &[kind::MESSAGE_CHANGED], handler.clone(), config);
        #[allow(clippy::disallowed_methods, reason = "only a bare task can be aborted")]
        let mortal = Mortal(jobs.into_iter().map(|job| tokio::spawn(job.run)).collect());
        (tasks, mortal)
    }

    /// Commits `count` events, each about an aggregate of its own, with sequences from `first`.
    pub(crate) async fn put(&self, first: u64, count: u64) {
        let mut tx = self.bus.db.tenant(self.tenant).await.unwrap();
        if count == 1 {
            self.outbox.put(&mut tx, &event(first)).await.unwrap();
        } else {
            self.put_by_function(&mut tx, first, count).await;
        }
        tx.commit().await.unwrap();
        self.outbox.wake();
    }

    /// As a service's own SQL function does: many at once.
    async fn put_by_function(&self, tx: &mut TenantTx, first: u64, count: u64) {
        let events: Vec<_> = (first..first + count).map(event).collect();
        sqlx::query(
            "select outbox_put_v1($1, e.aggregate, e.seq, $2, e.payload)
               from unnest($3::uuid[], $4::bigint[], $5::bytea[]) as e (aggregate, seq, payload)",
        )
        .bind(self.tenant.uuid())
        .bind(kind::MESSAGE_CHANGED)
        .bind(events.iter().map(|event| event.aggregate).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.seq.cast_signed()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.payload.encode_to_vec()).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await
        .unwrap();
    }

    pub(crate) async fn unpublished(&self) -> i64 {
        sqlx::query_scalar("select count(*) from outbox where stream_seq is null")
            .fetch_one(self.bus.db.jobs())
            .await
            .unwrap()
    }

    pub(crate) async fn all_published(&self) {
        until("all is published", async || self.unpublished().await == 0).await;
    }

    /// Messages in the stream; none while it cannot be asked.
    pub(crate) async fn in_stream(&self) -> u64 {
        match self.bus.nats.jetstream().get_stream(stream_name(AREA)).await {
            Ok(stream) => stream.cached_info().state.messages,
            Err(_) => 0,
        }
    }

    pub(crate) async fn stop(self) {
        self.world.stop().await;
    }
}

pub(crate) struct Mortal(Vec<tokio::task::JoinHandle<()>>);

impl Mortal {
    /// Waits until its jobs have ended by themselves.
    pub(crate) async fn ended(self) {
        for job in self.0 {
            job.await.unwrap();
        }
    }

    pub(crate) fn kill(self) {
        for job in self.0 {
            job.abort();
        }
    }
}

pub(crate) fn event(seq: u64) -> Event<MessageChanged> {
    let id = |n: u128| Uuid::from_u128(n << 64 | u128::from(seq)).simple().to_string();
    Event {
        kind: kind::MESSAGE_CHANGED,
        aggregate: Uuid::from_u128(u128::from(seq).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
        seq,
        payload: MessageChanged {
            message_id: format!("msg_{}", id(1)),
            conversation_id: format!("cnv_{}", id(2)),
            contact_id: format!("con_{}", id(3)),
            version: None,
            imported: false,
        },
    }
}

/// Keeps, like a real consumer, the newest version of each message, and how often it was told.
#[derive(Default)]
pub(crate) struct Ledger {
    seen: Mutex<BTreeMap<u64, u32>>,
}

impl Ledger {
    pub(crate) fn distinct(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub(crate) fn times(&self, seq: u64) -> u32 {
        self.seen.lock().unwrap().get(&seq).copied().unwrap_or(0)
    }

    pub(crate) async fn has(&self, count: usize) {
        until(&format!("{count} events arrived"), async || self.distinct() >= count).await;
    }
}

impl Consume for Ledger {
    async fn consume(&self, batch: Vec<Notification>) -> Vec<Result<(), ConsumeError>> {
        let mut seen = self.seen.lock().unwrap();
        for event in &batch {
            *seen.entry(seq_of(event)).or_default() += 1;
        }
        batch.iter().map(|_| Ok(())).collect()
    }
}

pub(crate) fn seq_of(event: &Notification) -> u64 {
    event.decode::<MessageChanged>().unwrap().version.unwrap().seq
}

/// Waits for a condition, at most half a minute.
pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(30), waiting).await.is_ok(),
        "waited in vain until {what}"
    );
}
