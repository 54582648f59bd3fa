//! From the outbox to the bus.

use std::{collections::BTreeSet, sync::Arc};

use lethe_outbox::{Actor, Audit, kind, stream_name};
use lethe_proto::event::{AuditRecorded, MessageChanged};
use prost::Message;
use sqlx::Row;

use crate::rig::{AREA, Ledger, Rig, event, until};

#[tokio::test]
async fn what_is_committed_is_published_and_what_is_not_is_not() {
    let rig = Rig::new().await;
    rig.relay();
    let mut undone = rig.bus.db.tenant(rig.tenant).await.unwrap();
    rig.outbox.put(&mut undone, &event(1)).await.unwrap();
    drop(undone);
    rig.put(2, 1).await;
    until("one is in the stream", async || rig.in_stream().await == 1).await;
    rig.all_published().await;
    let stream = rig.bus.nats.jetstream().get_stream(stream_name(AREA)).await.unwrap();
    let message = stream.get_raw_message(1).await.unwrap();
    assert_eq!(
        message.subject.as_str(),
        format!("lethe.evt.messaging.message.changed.v1.{}", rig.tenant.uuid().simple())
    );
    let payload = MessageChanged::decode(message.payload).unwrap();
    let version = payload.version.unwrap();
    assert_eq!((version.incarnation, version.seq), (1, 2));
    assert_eq!(rig.in_stream().await, 1);
    rig.stop().await;
}

#[tokio::test]
async fn the_audit_helper_says_who_did_what() {
    let rig = Rig::new().await;
    rig.relay();
    let mut tx = rig.bus.db.tenant(rig.tenant).await.unwrap();
    let audit = Audit {
        actor: Actor::Service("retention"),
        action: "PurgeContact",
        target_kind: "contact",
        target_id: "con_0199aabbccdd7eef8123456789abcdef",
        contact: Some("con_0199aabbccdd7eef8123456789abcdef".parse().unwrap()),
        request_id: "req-1",
    };
    let id = rig.outbox.audit(&mut tx, &audit).await.unwrap();
    tx.commit().await.unwrap();
    until("it is in the stream", async || rig.in_stream().await == 1).await;
    let stream = rig.bus.nats.jetstream().get_stream(stream_name(AREA)).await.unwrap();
    let message = stream.get_raw_message(1).await.unwrap();
    assert!(message.subject.contains(kind::MESSAGING_AUDIT_RECORDED));
    let said = AuditRecorded::decode(message.payload).unwrap();
    assert_eq!(said.audit_id, id.to_string());
    assert_eq!((said.actor_kind.as_str(), said.actor_id.as_str()), ("service", "retention"));
    assert_eq!(said.contact_id, "con_0199aabbccdd7eef8123456789abcdef");
    rig.stop().await;
}

#[tokio::test]
async fn a_crash_between_publishing_and_marking_publishes_again() {
    let rig = Rig::new().await;
    let mut superuser = rig.superuser().await;
    sqlx::query("alter function outbox_mark_v1 rename to outbox_mark_away")
        .execute(&mut superuser)
        .await
        .unwrap();
    let relay = rig.mortal_relay();
    rig.put(1, 3).await;
    until("all three are on the bus", async || rig.in_stream().await >= 3).await;
    relay.kill();
    assert_eq!(rig.unpublished().await, 3);
    sqlx::query("alter function outbox_mark_away rename to outbox_mark_v1")
        .execute(&mut superuser)
        .await
        .unwrap();
    let ledger = Arc::new(Ledger::default());
    rig.consume("test-ledger", &ledger);
    rig.relay();
    rig.all_published().await;
    ledger.has(3).await;
    assert_eq!(ledger.distinct(), 3);
    rig.stop().await;
}

#[tokio::test]
async fn two_relays_share_the_slots_and_the_survivor_takes_all_with_new_tokens() {
    let rig = Rig::new().await;
    let (first, second) = (rig.mortal_relay(), rig.mortal_relay());
    let shares = async || {
        let rows = sqlx::query(
            "select count(*) from outbox_slots where expires_at > now() group by holder order by 1",
        )
        .fetch_all(rig.bus.db.jobs())
        .await
        .unwrap();
        rows.iter().map(|row| row.get::<i64, _>(0)).collect::<Vec<_>>()
    };
    until("each holds half", async || shares().await == [8, 8]).await;
    let before = tokens(&rig).await;
    rig.put(1, 500).await;
    rig.all_published().await;
    assert_eq!(rig.in_stream().await, 500, "no slot was published by both");
    first.kill();
    until("one holds all", async || shares().await == [16]).await;
    let after = tokens(&rig).await;
    let risen: BTreeSet<i64> = before.iter().zip(&after).map(|(before, after)| after - before).collect();
    assert_eq!(risen, [0, 1].into(), "eight tokens rose, by one each");
    rig.put(501, 500).await;
    rig.all_published().await;

    // The dead one comes back from a long pause: its tokens mark nothing.
    rig.put(1001, 1).await;
    second.kill();
    let mut superuser = rig.superuser().await;
    sqlx::query("update outbox set stream_no = null, stream_seq = null")
        .execute(&mut superuser)
        .await
        .unwrap();
    let life: i32 = sqlx::query_scalar("select max(stream_no) from stream_positions")
        .fetch_one(rig.bus.db.jobs())
        .await
        .unwrap();
    let row = sqlx::query("select slot, event_id, created_at from outbox limit 1")
        .fetch_one(rig.bus.db.jobs())
        .await
        .unwrap();
    let slot: i16 = row.get(0);
    for (token, marked) in [(after[slot as usize] - 1, 0), (after[slot as usize], 1)] {
        let answer: Option<i32> = sqlx::query_scalar("select outbox_mark_v1($1, $2, $3, $5, $5, $4, $6)")
            .bind(life)
            .bind(vec![slot])
            .bind(vec![token])
            .bind(vec![row.get::<uuid::Uuid, _>(1)])
            .bind(row.get::<time::OffsetDateTime, _>(2))
            .bind(vec![1_i64])
            .fetch_one(rig.bus.db.jobs())
            .await
            .unwrap();
        assert_eq!(answer, Some(marked), "token {token} of {}", after[slot as usize]);
    }
    rig.stop().await;
}

async fn tokens(rig: &Rig) -> Vec<i64> {
    sqlx::query_scalar("select token from outbox_slots order by slot")
        .fetch_all(rig.bus.db.jobs())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_relay_that_ends_gives_its_slots_back_at_once() {
    let rig = Rig::new().await;
    rig.relay();
    rig.put(1, 1).await;
    rig.all_published().await;
    let db = rig.bus.db.clone();
    rig.stop().await;
    let held: i64 = sqlx::query_scalar("select count(*) from outbox_slots where holder is not null")
        .fetch_one(db.jobs())
        .await
        .unwrap();
    assert_eq!(held, 0);
}

#[tokio::test]
async fn what_is_committed_long_after_it_was_put_is_found() {
    let rig = Rig::new().await;
    rig.relay();
    let mut late = rig.bus.db.tenant(rig.tenant).await.unwrap();
    rig.outbox.put(&mut late, &event(1)).await.unwrap();
    // As if it had been open for a minute: its id is below what the relay looks at in passing.
    let mut superuser = rig.superuser().await;
    sqlx::query(
        "insert into outbox select $1, uuidv7(interval '1 minute'), now(), 0, 1, 'messaging.message.changed', ''",
    )
    .bind(rig.tenant.uuid())
    .execute(&mut superuser)
    .await
    .unwrap();
    until("the young one is published", async || rig.in_stream().await == 1).await;
    late.commit().await.unwrap();
    until("the late one is published", async || rig.in_stream().await == 2).await;
    rig.stop().await;
}
