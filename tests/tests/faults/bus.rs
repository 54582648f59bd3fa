//! The bus is killed and wiped in mid-load: accepting goes on, and search finds everything in the end.
//!
//! The hard case is a contact whose events were on the bus alone: published, so that the outbox holds them for done, and
//! not yet consumed. No later event leads search to that contact, so only publishing again brings its messages in.

use std::time::Duration;

use lethe_tests::{Api, within};
use serde_json::json;
use sqlx::PgConnection;

use super::stage::{Stage, Talk, found, nonce, talk};

const MESSAGES: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_wiped_in_mid_load_costs_no_message_and_search_finds_all() {
    let _alone = lethe_tests::alone().await;
    let mut stage = Stage::begin().await;
    let url = stage.serve().await;
    let owner = stage.owner(&url).await;
    let mut messaging = stage.superuser("messaging").await;
    let (early, lost, late) = (talk(&owner).await, talk(&owner).await, talk(&owner).await);
    let mut words = accept(&owner, &early).await;
    let first = words[0].clone();
    within(Duration::from_secs(20), "the first is found", async || found(&owner, &first).await == 1).await;
    all_published(&mut messaging).await;

    // Search holds one batch in hand and comes no further.
    let mut search = stage.superuser("search").await;
    sqlx::raw_sql("begin; lock table progress in access exclusive mode")
        .execute(&mut search)
        .await
        .expect("a lock");
    words.extend(accept(&owner, &early).await);
    let mut onlooker = stage.superuser("search").await;
    within(Duration::from_secs(20), "search stands still", async || {
        let waiting =
            "select exists (select from pg_locks where not granted and relation = 'progress'::regclass)";
        sqlx::query_scalar(waiting).fetch_one(&mut onlooker).await.expect("an answer")
    })
    .await;
    words.extend(accept(&owner, &lost).await);
    all_published(&mut messaging).await;
    stage.wipe_bus().await;
    words.extend(accept(&owner, &late).await);
    stage.start_bus().await;
    sqlx::raw_sql("rollback").execute(&mut search).await.expect("the lock is gone");

    for word in &words {
        within(Duration::from_secs(60), "each message is found once", async || {
            found(&owner, word).await == 1
        })
        .await;
    }
    all_published(&mut messaging).await;
}

/// Messages of a word of their own each; answers the words.
async fn accept(owner: &Api, talk: &Talk) -> Vec<String> {
    let nonce = nonce();
    let words: Vec<String> = (0..MESSAGES).map(|number| format!("zq{nonce}n{number}")).collect();
    for word in &words {
        let body = json!({"text": format!("It is about {word} again.")});
        owner.create(&talk.inbound(), word, body).await.ok();
    }
    words
}

async fn all_published(messaging: &mut PgConnection) {
    within(Duration::from_secs(30), "no event is unsent", async || {
        let unsent: i64 = sqlx::query_scalar("select count(*) from outbox where stream_seq is null")
            .fetch_one(&mut *messaging)
            .await
            .expect("a number");
        unsent == 0
    })
    .await;
}
