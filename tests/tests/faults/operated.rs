//! The operator's commands: on a platform that is well, with a dead letter, with its bus away, with its services dead.

use std::time::Duration;

use lethe_tests::within;
use serde_json::json;

use super::stage::{Stage, talk, text};

const WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn status_and_dead_letters_say_what_is_not_well_and_what_to_do() {
    let mut stage = Stage::begin().await;
    let url = stage.serve().await;
    let status = ["status", "--url", &url];
    let mut said = String::new();
    within(WITHIN, "all is well", async || {
        let (is_well, text) = stage.command(&status).await;
        said = text;
        is_well
    })
    .await;
    assert!(said.contains(&format!("ready at {url}")), "{said}");
    assert!(said.contains("search-index is up to date with messaging"), "{said}");
    assert!(said.ends_with("All is well.\n"), "{said}");

    let api = stage.owner(&url).await;
    let tenant = text(&api.get("/v1/tenant").await.ok(), "tenant_id");
    let conversation = talk(&api).await.conversation;
    let wombat = json!({"text": "wombat"});
    api.create(&format!("/v1/conversations/{conversation}/inbound-messages"), "wombat", wombat).await.ok();
    let (is_done, said) = stage.command(&["index", "rebuild", &tenant]).await;
    assert!(is_done && said == format!("{tenant} is indexed anew: 1 messages\n"), "{said}");

    // An event that its consumer cannot read, as a deployment gone wrong would leave it.
    let mut search = stage.superuser("search").await;
    sqlx::query(
        "insert into dead_letters (tenant_id, consumer, event_id, kind, payload, put_at, reason, attempts, died_at)
         select gen_random_uuid(), 'search-index', '018f0000-0000-7000-8000-000000000001', 'messaging.message.changed',
                '\\xff', now(), 'PLANTED', 8, now() - interval '3 hours'",
    )
    .execute(&mut search)
    .await
    .expect("a row");
    let (is_well, said) = stage.command(&status).await;
    assert!(!is_well && said.contains("search: 1 dead letters, the oldest from 3 h ago"), "{said}");
    let (_, listed) = stage.command(&["dead-letters", "list"]).await;
    assert!(listed.contains("PLANTED") && listed.contains("messaging.message.changed"), "{listed}");
    let (_, replayed) = stage.command(&["dead-letters", "replay", "--all"]).await;
    assert!(replayed.starts_with("1 replayed"), "{replayed}");
    // The consumer got it, and gave it up again for a reason of its own.
    within(WITHIN, "it died again", async || {
        let (_, listed) = stage.command(&["dead-letters", "list"]).await;
        !listed.contains("PLANTED") && listed.contains("messaging.message.changed")
    })
    .await;
    let (found, said) = stage.command(&["dead-letters", "replay", "evt_00000000000000000000000000"]).await;
    assert!(!found && said.contains("no such dead letter"), "{said}");
    sqlx::query("delete from dead_letters").execute(&mut search).await.expect("it goes");

    stage.kill_bus().await;
    let (is_well, said) = stage.command(&status).await;
    assert!(!is_well && said.contains("messaging: NATS does not answer"), "{said}");

    stage.kill_services().await;
    let (is_well, said) = stage.command(&status).await;
    assert!(!is_well && said.contains(&format!("nobody answers at {url}")), "{said}");
    assert!(said.contains("erasures    0 under way"), "the stores answer without services: {said}");
}
