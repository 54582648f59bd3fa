//! The relay's slots. Both replicas of messaging have published and wait for the bus to say so; one is paused past its
//! leases, the other takes its slots over, and the first comes back with an answer in hand that counts for nothing.

use std::{collections::BTreeSet, time::Duration};

use lethe_tests::{alone, within};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{apart, is_found_once, nonce, receive, superuser, talk};

/// Counts how often an event is marked as published.
const MARKS: &str = "
    create table marks (event_id uuid not null);
    create function count_marks() returns trigger language plpgsql security definer as $$
    begin
      insert into marks values (new.event_id);
      return null;
    end $$;
    create trigger count_marks after update of stream_seq on outbox for each row
      when (new.stream_seq is not null) execute function count_marks();";

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_was_paused_past_its_leases_marks_nothing_and_nothing_is_lost_or_doubled() {
    let _alone = alone().await;
    let apart = apart();
    let owner = apart.tenant().await.owner;
    let mut messaging = superuser("messaging").await;
    sqlx::raw_sql(MARKS).execute(&mut messaging).await.expect("a trigger");
    within(Duration::from_secs(30), "both replicas hold slots", async || {
        holders(&mut messaging).await.len() == 2
    })
    .await;
    let mut talks = Vec::new();
    for _ in 0..8 {
        talks.push(talk(&owner, &nonce()).await.1);
    }
    all_marked(&mut messaging).await;

    let before = tokens(&mut messaging).await;
    apart.nats.pause();
    let mut words = Vec::new();
    for conversation in talks.iter().cycle().take(24) {
        let word = format!("zq{}", nonce());
        receive(&owner, conversation, &word).await;
        words.push(word);
    }
    // Both have handed their events to the bus, which does not answer, when one of them is stopped.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let held = holders(&mut messaging).await;
    let paused = apart.processes["messaging"][0].pause();
    apart.nats.resume();
    all_marked(&mut messaging).await;
    let now = holders(&mut messaging).await;
    assert!(now.len() == 1 && now.is_subset(&held), "{now:?} of {held:?}");
    let taken = before.iter().zip(tokens(&mut messaging).await).filter(|(old, new)| *old < new).count();
    assert!(taken >= 8, "the other one has the slots under new tokens: {taken}");

    paused.resume();
    // It has said what it had to say when it asks for slots again, and gets them.
    within(Duration::from_secs(30), "it is back", async || holders(&mut messaging).await == held).await;
    all_marked(&mut messaging).await;
    let doubled: i64 = sqlx::query_scalar(
        "select count(*) from (select from marks group by event_id having count(*) > 1) doubled",
    )
    .fetch_one(&mut messaging)
    .await
    .expect("a number");
    assert_eq!(doubled, 0);
    for word in &words {
        is_found_once(&owner, word).await;
    }
    sqlx::raw_sql("drop trigger count_marks on outbox; drop function count_marks; drop table marks")
        .execute(&mut messaging)
        .await
        .expect("no trigger");
}

async fn holders(messaging: &mut PgConnection) -> BTreeSet<Uuid> {
    let held = "select holder from outbox_slots where holder is not null and expires_at > clock_timestamp()";
    let held: Vec<Uuid> = sqlx::query_scalar(held).fetch_all(messaging).await.expect("slots");
    held.into_iter().collect()
}

async fn tokens(messaging: &mut PgConnection) -> Vec<i64> {
    sqlx::query_scalar("select token from outbox_slots order by slot")
        .fetch_all(messaging)
        .await
        .expect("slots")
}

async fn all_marked(messaging: &mut PgConnection) {
    within(Duration::from_secs(40), "no event is unsent", async || {
        let unsent = "select count(*) = 0 from outbox where stream_seq is null";
        sqlx::query_scalar(unsent).fetch_one(&mut *messaging).await.expect("an answer")
    })
    .await;
}
