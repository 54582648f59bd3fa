//! The claim on an erasure. The replica of retention that has it waits for messaging's fence when it is paused; the other
//! one takes the claim over and finishes; what the first has to say afterwards counts for nothing.

use std::time::Duration;

use lethe_tests::{Paused, alone, within};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use super::{apart, is_found_once, nonce, receive, superuser, talk};

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_whose_process_was_paused_past_its_claim_is_finished_once_by_another() {
    let _alone = alone().await;
    let apart = apart();
    let owner = apart.tenant().await.owner;
    let (contact, conversation) = talk(&owner, &nonce()).await;
    let word = format!("zq{}", nonce());
    receive(&owner, &conversation, &word).await;
    is_found_once(&owner, &word).await;

    let (mut retention, mut messaging) = (superuser("retention").await, superuser("messaging").await);
    let requested = owner.create("/v1/erasures", &word, json!({"contact_id": contact})).await.ok();
    let path = format!("/v1/erasures/{}", requested["erasure"]["erasure_id"].as_str().expect("an id"));
    let mut fences = messaging.begin().await.expect("a transaction");
    sqlx::query("lock table fences in access exclusive mode").execute(&mut *fences).await.expect("a lock");
    let confirm = json!({"confirmation_token": requested["confirmation_token"]});
    owner.post(&format!("{path}/confirm"), confirm).await.ok();
    within(Duration::from_secs(20), "it is claimed", async || token(&mut retention).await > 0).await;

    let paused = pause_holder(&mut retention).await;
    let taken_over = token(&mut retention).await;
    fences.rollback().await.expect("the lock is gone");
    within(Duration::from_secs(60), "it is certified", async || {
        owner.get(&path).await.body["state"] == json!("certified")
    })
    .await;
    let (state, steps) = (owner.get(&path).await.ok(), steps(&mut retention).await);

    paused.resume();
    // Its call to messaging was answered, or was lost, long ago; it says so to the database, and looks again and again.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(owner.get(&path).await.ok(), state, "nothing changes any more");
    assert_eq!(self::steps(&mut retention).await, steps, "no step was counted twice");
    assert_eq!(token(&mut retention).await, taken_over);
    let certificates: i64 = sqlx::query_scalar("select count(*) from certificates where erasure_id = (select erasure_id from erasures order by requested_at desc limit 1)")
        .fetch_one(&mut retention)
        .await
        .expect("a number");
    assert_eq!(certificates, 1);
}

/// Pauses the process that has the claim: it is the one whose pause has another take the claim over.
async fn pause_holder(retention: &mut PgConnection) -> Paused<'static> {
    let before = token(retention).await;
    for process in &apart().processes["retention"] {
        let paused = process.pause();
        for _ in 0..60 {
            if token(retention).await > before {
                return paused;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        paused.resume();
    }
    panic!("no process had the claim")
}

/// The fencing token of the latest erasure.
async fn token(retention: &mut PgConnection) -> i64 {
    sqlx::query_scalar("select lease_token from erasures order by requested_at desc limit 1")
        .fetch_one(retention)
        .await
        .expect("an erasure")
}

/// Each step of the latest erasure, how often it was tried, and when it was done.
async fn steps(retention: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "select concat_ws(' ', s.step, s.position, s.attempts, s.done_at) from erasure_steps s
          where s.erasure_id = (select erasure_id from erasures order by requested_at desc limit 1)
          order by 1",
    )
    .fetch_all(retention)
    .await
    .expect("steps")
}
