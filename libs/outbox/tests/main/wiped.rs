//! The bus goes away, forgets a part, forgets everything. Each time all events reach the consumer in the end.

use std::{fs, path::Path, sync::Arc};

use lethe_outbox::{RelayConfig, ensure_stream, relay};

use crate::rig::{AREA, Ledger, Rig, until};

#[tokio::test]
async fn while_the_bus_is_away_events_wait_in_the_outbox() {
    let mut rig = Rig::new().await;
    let ledger = Arc::new(Ledger::default());
    rig.relay();
    rig.consume("test-ledger", &ledger);
    rig.put(1, 10).await;
    ledger.has(10).await;
    rig.world.nats.kill().await;
    rig.put(11, 2_000).await;
    assert!(rig.unpublished().await >= 2_000);
    rig.world.nats.restart().await;
    ledger.has(2_010).await;
    rig.all_published().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_wiped_bus_is_filled_again_in_mid_load() {
    let mut rig = Rig::new().await;
    let ledger = Arc::new(Ledger::default());
    rig.relay();
    rig.consume("test-ledger", &ledger);
    rig.put(1, 1_000).await;
    rig.all_published().await;
    ledger.has(1_000).await;
    for round in 1..=4 {
        rig.put(round * 1_000 + 1, 1_000).await;
        if round == 2 {
            // Some are published and consumed, some published only, some neither.
            rig.world.nats.wipe().await;
        }
    }
    ledger.has(5_000).await;
    rig.all_published().await;
    until("the new stream holds everything", async || rig.in_stream().await >= 5_000).await;
    // What the consumer had before, it was told again: a consumer that lost its effects too would be whole again.
    until("the first was told twice", async || ledger.times(1) >= 2).await;
    rig.stop().await;
}

#[tokio::test]
async fn another_stream_is_another_one_however_full_it_is() {
    let mut rig = Rig::new().await;
    let relay_to_die = rig.mortal_relay();
    rig.put(1, 100).await;
    rig.all_published().await;
    relay_to_die.kill();
    rig.world.nats.wipe().await;
    // Somebody else fills the new stream past where the old one was.
    let stream = RelayConfig::default().stream;
    until("the stream is there", async || ensure_stream(&rig.bus.nats, AREA, &stream).await.is_ok()).await;
    for _ in 0..200 {
        let published =
            rig.bus.nats.jetstream().publish("lethe.evt.messaging.foreign", "".into()).await.unwrap();
        published.await.unwrap();
    }
    let ledger = Arc::new(Ledger::default());
    rig.consume("test-ledger", &ledger);
    rig.relay();
    ledger.has(100).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_bus_that_forgot_its_last_events_is_told_them_again_and_no_others() {
    let mut rig = Rig::new().await;
    let relay = rig.mortal_relay();
    rig.put(1, 10_000).await;
    rig.all_published().await;
    // A copy of its store, as a machine that lost its last writes would have it.
    rig.world.nats.kill().await;
    let (store, copy) = (rig.world.nats.data(), rig.world.nats.data().with_extension("copy"));
    copy_folder(&store, &copy);
    rig.world.nats.restart().await;
    rig.put(10_001, 300).await;
    rig.all_published().await;
    assert_eq!(rig.in_stream().await, 10_300);
    rig.world.nats.kill().await;
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&copy, &store).unwrap();
    rig.world.nats.restart().await;
    let ledger = Arc::new(Ledger::default());
    rig.consume("test-ledger", &ledger);
    ledger.has(10_300).await;
    rig.all_published().await;
    // Published again is at most what was lost and a margin of 16 batches.
    assert!(ledger.times(1) == 1, "the first was never lost");
    relay.kill();
    rig.stop().await;
}

#[tokio::test]
async fn a_place_that_was_taken_before_says_that_the_bus_forgot() {
    let rig = Rig::new().await;
    // Only the acknowledgements tell: the stream is not looked at again.
    let config = RelayConfig { check_ms: 3_600_000, ..Rig::relay_config() };
    rig.run(relay(&rig.bus, AREA, config, &rig.outbox));
    rig.put(1, 10).await;
    rig.all_published().await;
    let mut superuser = rig.superuser().await;
    sqlx::query("update stream_positions set last_seq = last_seq + 1000")
        .execute(&mut superuser)
        .await
        .unwrap();
    rig.put(11, 1).await;
    until("a new life began", async || {
        let lives: i64 = sqlx::query_scalar(
            "select count(*) from stream_positions where kept_until is not null and requeued",
        )
        .fetch_one(rig.bus.db.jobs())
        .await
        .unwrap();
        lives == 1
    })
    .await;
    rig.all_published().await;
    let ledger = Arc::new(Ledger::default());
    rig.consume("test-ledger", &ledger);
    ledger.has(11).await;
    let again: i64 = sqlx::query_scalar("select count(*) from outbox where stream_no = 2")
        .fetch_one(rig.bus.db.jobs())
        .await
        .unwrap();
    assert_eq!(again, 11, "all that may be lost was published again");
    rig.stop().await;
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
