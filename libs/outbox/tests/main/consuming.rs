//! From the bus to an effect.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use anyhow::anyhow;
use lethe_outbox::{Consume, ConsumeError, Notification, ReplayError, dead_letters, replay, seen};

use crate::rig::{Ledger, Rig, seq_of, until};

/// Refuses one event in its own way, and passes the others on.
struct Choosy {
    ledger: Ledger,
    poison: u64,
    how: fn() -> ConsumeError,
    cured: AtomicBool,
    tries: AtomicU32,
}

impl Choosy {
    fn new(poison: u64, how: fn() -> ConsumeError) -> Arc<Self> {
        let ledger = Ledger::default();
        Arc::new(Self { ledger, poison, how, cured: AtomicBool::new(false), tries: AtomicU32::new(0) })
    }
}

impl Consume for Choosy {
    async fn consume(&self, batch: Vec<Notification>) -> Vec<Result<(), ConsumeError>> {
        let mut outcomes = Vec::new();
        for event in batch {
            if seq_of(&event) == self.poison && !self.cured.load(Ordering::SeqCst) {
                self.tries.fetch_add(1, Ordering::SeqCst);
                outcomes.push(Err((self.how)()));
            } else {
                outcomes.extend(self.ledger.consume(vec![event]).await);
            }
        }
        outcomes
    }
}

#[tokio::test]
async fn one_dead_letter_in_front_of_a_thousand_events_holds_back_none() {
    let rig = Rig::new().await;
    rig.put(1, 1_001).await;
    rig.relay();
    let choosy = Choosy::new(1, || ConsumeError::Reject("NOT_FOR_ME"));
    rig.consume("test-choosy", &choosy);
    choosy.ledger.has(1_000).await;
    until("it is buried", async || dead_letters(&rig.bus.db, 10).await.unwrap().len() == 1).await;
    assert_eq!(choosy.tries.load(Ordering::SeqCst), 1, "what is rejected is not tried again");
    let letter = dead_letters(&rig.bus.db, 10).await.unwrap().remove(0);
    assert_eq!(
        (letter.consumer.as_str(), letter.reason.as_str(), letter.tenant),
        ("test-choosy", "NOT_FOR_ME", rig.tenant)
    );

    // An operator replays it: first in vain, which writes it anew; then with the cause removed; then nothing is left to replay.
    let again = async || replay(&rig.bus, letter.tenant, &letter.consumer, letter.event_id).await;
    again().await.unwrap();
    until("it is buried again", async || {
        choosy.tries.load(Ordering::SeqCst) == 2 && dead_letters(&rig.bus.db, 10).await.unwrap().len() == 1
    })
    .await;
    choosy.cured.store(true, Ordering::SeqCst);
    again().await.unwrap();
    until("its effect is there", async || choosy.ledger.times(1) == 1).await;
    assert!(matches!(again().await, Err(ReplayError::Missing)));
    assert!(dead_letters(&rig.bus.db, 10).await.unwrap().is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn what_fails_is_tried_so_often_and_then_buried() {
    let rig = Rig::new().await;
    rig.put(1, 20).await;
    rig.relay();
    let choosy = Choosy::new(7, || ConsumeError::Retry("FLAKY", anyhow!("not today")));
    rig.consume("test-choosy", &choosy);
    choosy.ledger.has(19).await;
    until("it is buried", async || dead_letters(&rig.bus.db, 10).await.unwrap().len() == 1).await;
    assert_eq!(choosy.tries.load(Ordering::SeqCst), 4, "max_deliver");
    assert_eq!(dead_letters(&rig.bus.db, 10).await.unwrap()[0].attempts, 4);
    rig.stop().await;
}

#[tokio::test]
async fn what_fails_once_is_delivered_again() {
    let rig = Rig::new().await;
    rig.put(1, 3).await;
    rig.relay();
    let choosy = Choosy::new(2, || ConsumeError::Retry("FLAKY", anyhow!("not today")));
    rig.consume("test-choosy", &choosy);
    until("it was refused", async || choosy.tries.load(Ordering::SeqCst) == 1).await;
    choosy.cured.store(true, Ordering::SeqCst);
    choosy.ledger.has(3).await;
    assert!(dead_letters(&rig.bus.db, 10).await.unwrap().is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn while_a_store_is_away_no_delivery_is_counted() {
    let rig = Rig::new().await;
    rig.put(1, 5).await;
    rig.relay();
    let choosy = Choosy::new(3, || ConsumeError::Unavailable(anyhow!("the database is away")));
    rig.consume("test-choosy", &choosy);
    until("it was tried more often than max_deliver", async || choosy.tries.load(Ordering::SeqCst) > 5).await;
    choosy.cured.store(true, Ordering::SeqCst);
    choosy.ledger.has(5).await;
    assert_eq!(choosy.ledger.times(1), 1, "the others of the batch were not handed in again");
    assert!(dead_letters(&rig.bus.db, 10).await.unwrap().is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn restarts_while_a_store_is_away_make_no_dead_letter() {
    let rig = Rig::new().await;
    rig.put(1, 3).await;
    rig.relay();
    let choosy = Choosy::new(2, || ConsumeError::Unavailable(anyhow!("another service is away")));
    let tries = || choosy.tries.load(Ordering::SeqCst);
    // More often than max_deliver, some stopped and some killed.
    for restart in 0..8 {
        let before = tries();
        let (tasks, process) = rig.mortal_consumer("test-choosy", &choosy);
        // The second look is after the outage was noted.
        until("it was tried in vain", async || tries() >= before + 2).await;
        if restart % 2 == 0 {
            tasks.shut_down(std::time::Duration::ZERO).await;
            process.ended().await;
        } else {
            process.kill();
        }
    }
    choosy.cured.store(true, Ordering::SeqCst);
    rig.consume("test-choosy", &choosy);
    choosy.ledger.has(3).await;
    assert!(dead_letters(&rig.bus.db, 10).await.unwrap().is_empty());
    let left = async || counted(&rig, "tries").await;
    until("what is over is forgotten", async || left().await == 0).await;
    rig.stop().await;
}

async fn counted(rig: &Rig, table: &'static str) -> i64 {
    let mut superuser = rig.superuser().await;
    let statement = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
    sqlx::query_scalar(statement).fetch_one(&mut superuser).await.unwrap()
}

/// Does not come back from one event, as if it had taken the process with it.
struct Deadly {
    poison: u64,
    tries: AtomicU32,
}

impl Consume for Deadly {
    async fn consume(&self, batch: Vec<Notification>) -> Vec<Result<(), ConsumeError>> {
        if batch.iter().any(|event| seq_of(event) == self.poison) {
            self.tries.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        batch.iter().map(|_| Ok(())).collect()
    }
}

#[tokio::test]
async fn an_event_that_kills_its_process_each_time_is_given_up() {
    let rig = Rig::new().await;
    rig.put(1, 1).await;
    rig.relay();
    let deadly = Arc::new(Deadly { poison: 1, tries: AtomicU32::new(0) });
    for death in 1..=4 {
        let (_, process) = rig.mortal_consumer("test-deadly", &deadly);
        until("it is tried", async || deadly.tries.load(Ordering::SeqCst) == death).await;
        process.kill();
    }
    let (tasks, process) = rig.mortal_consumer("test-deadly", &deadly);
    until("it is buried", async || dead_letters(&rig.bus.db, 10).await.unwrap().len() == 1).await;
    assert_eq!(dead_letters(&rig.bus.db, 10).await.unwrap()[0].reason, "DELIVERIES_EXHAUSTED");
    assert_eq!(deadly.tries.load(Ordering::SeqCst), 4, "max_deliver");
    tasks.shut_down(std::time::Duration::ZERO).await;
    process.ended().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_handler_that_panics_buries_only_the_guilty_event() {
    let rig = Rig::new().await;
    rig.put(1, 50).await;
    rig.relay();
    let choosy = Choosy::new(9, || panic!("as this test wants"));
    rig.consume("test-choosy", &choosy);
    choosy.ledger.has(49).await;
    until("it is buried", async || dead_letters(&rig.bus.db, 10).await.unwrap().len() == 1).await;
    assert_eq!(dead_letters(&rig.bus.db, 10).await.unwrap()[0].reason, "PANICKED");
    rig.stop().await;
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_written_is_not_lost() {
    let rig = Rig::new().await;
    let mut superuser = rig.superuser().await;
    sqlx::query("alter table dead_letters rename to away").execute(&mut superuser).await.unwrap();
    rig.put(1, 1).await;
    rig.relay();
    let choosy = Choosy::new(1, || ConsumeError::Reject("NOT_FOR_ME"));
    rig.consume("test-choosy", &choosy);
    until("it came again", async || choosy.tries.load(Ordering::SeqCst) >= 2).await;
    sqlx::query("alter table away rename to dead_letters").execute(&mut superuser).await.unwrap();
    until("it is buried", async || dead_letters(&rig.bus.db, 10).await.unwrap().len() == 1).await;
    rig.stop().await;
}

/// Writes an effect that must not double, with the inbox.
struct Counter {
    rig: Arc<Rig>,
    effects: Mutex<BTreeMap<u64, u32>>,
}

impl Consume for Counter {
    async fn consume(&self, batch: Vec<Notification>) -> Vec<Result<(), ConsumeError>> {
        let mut outcomes = Vec::new();
        for event in batch {
            let mut tx = self.rig.bus.db.tenant(event.tenant).await.unwrap();
            if !seen(&mut tx, "test-counter", event.event_id).await.unwrap() {
                *self.effects.lock().unwrap().entry(seq_of(&event)).or_default() += 1;
            }
            tx.commit().await.unwrap();
            outcomes.push(Ok(()));
        }
        outcomes
    }
}

#[tokio::test]
async fn an_event_handed_in_twice_has_one_effect_behind_the_inbox() {
    let rig = Arc::new(Rig::new().await);
    rig.put(1, 10).await;
    rig.relay();
    let counter = Arc::new(Counter { rig: rig.clone(), effects: Mutex::default() });
    // Two names on the bus, so everything arrives twice; one name in the inbox.
    rig.consume("test-counter", &counter);
    rig.consume("test-counter-too", &counter);
    let ledger = Arc::new(Ledger::default());
    rig.consume("test-ledger", &ledger);
    ledger.has(10).await;
    until("all ten had their effect", async || counter.effects.lock().unwrap().len() == 10).await;
    let acked = async || {
        let stream = rig.bus.nats.jetstream().get_stream("LETHE_MESSAGING").await.unwrap();
        let mut done = 0;
        for name in ["test-counter", "test-counter-too"] {
            done += stream.consumer_info(name).await.unwrap().ack_floor.stream_sequence;
        }
        done
    };
    until("both acknowledged all", async || acked().await == 20).await;
    assert!(counter.effects.lock().unwrap().values().all(|&times| times == 1));
    rig.world.stop().await;
}

/// Holds one value an aggregate, by version.
#[derive(Default)]
struct Newest(Mutex<BTreeMap<String, (u32, u64)>>);

impl Consume for Newest {
    async fn consume(&self, batch: Vec<Notification>) -> Vec<Result<(), ConsumeError>> {
        let mut newest = self.0.lock().unwrap();
        for event in &batch {
            let changed: lethe_proto::event::ContactChanged = event.decode().unwrap();
            let version = changed.version.unwrap();
            let held = newest.entry(changed.contact_id).or_default();
            *held = (*held).max((version.incarnation, version.seq));
        }
        batch.iter().map(|_| Ok(())).collect()
    }
}

#[tokio::test]
async fn order_does_not_matter_and_a_restore_is_newer_than_what_it_rewound() {
    use lethe_outbox::{ConsumerConfig, Event, consumer, kind, raise_incarnation};
    use lethe_proto::event::ContactChanged;

    let rig = Rig::new().await;
    let contact = "con_0199aabbccdd7eef8123456789abcdef";
    let put = async |seq: u64| {
        let payload = ContactChanged { contact_id: contact.to_owned(), version: None, imported: false };
        let mut tx = rig.bus.db.tenant(rig.tenant).await.unwrap();
        let event = Event { kind: kind::CONTACT_CHANGED, aggregate: rig.tenant.uuid(), seq, payload };
        rig.outbox.put(&mut tx, &event).await.unwrap();
        tx.commit().await.unwrap();
        rig.outbox.wake();
    };
    rig.relay();
    let newest = Arc::new(Newest::default());
    rig.run(consumer(
        &rig.bus,
        "test-newest",
        &[kind::CONTACT_CHANGED],
        newest.clone(),
        ConsumerConfig::default(),
    ));
    let held = || newest.0.lock().unwrap().get(contact).copied();
    for seq in [3, 1, 7, 2, 5] {
        put(seq).await;
    }
    until("the newest is held", async || held() == Some((1, 7))).await;
    rig.all_published().await;
    raise_incarnation(&rig.bus.db).await.unwrap();
    until("the relay knows of the restore", async || {
        put(4).await;
        held() == Some((2, 4))
    })
    .await;
    rig.stop().await;
}
