//! The bus is killed and wiped in mid-load: accepting goes on, and search finds everything in the end.

use std::time::Duration;

use lethe_tests::within;
use serde_json::json;

use super::stage::{Stage, found, nonce, talk};

const MESSAGES: usize = 120;

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_wiped_in_mid_load_costs_no_message_and_search_finds_all() {
    let mut stage = Stage::begin().await;
    let url = stage.serve().await;
    let owner = stage.owner(&url).await;
    let talk = talk(&owner).await;
    let nonce = nonce();
    let word = |number: usize| format!("zq{nonce}n{number}");
    for number in 0..MESSAGES {
        match number {
            // By now some are in the index, some on the bus only, some not even there.
            40 => {
                within(Duration::from_secs(20), "the first is found", async || {
                    found(&owner, &word(0)).await == 1
                })
                .await;
                stage.wipe_bus().await;
            }
            80 => stage.start_bus().await,
            _ => {}
        }
        let body = json!({"text": format!("It is about {} again.", word(number))});
        owner.create(&talk.inbound(), &word(number), body).await.ok();
    }
    for number in 0..MESSAGES {
        within(Duration::from_secs(60), "each message is found once", async || {
            found(&owner, &word(number)).await == 1
        })
        .await;
    }
    let mut messaging = stage.superuser("messaging").await;
    within(Duration::from_secs(20), "no event is unsent", async || {
        let unsent: i64 = sqlx::query_scalar("select count(*) from outbox where stream_seq is null")
            .fetch_one(&mut messaging)
            .await
            .expect("a number");
        unsent == 0
    })
    .await;
}
