//! The platform as separate processes, each service twice, over mutual TLS: the same story as in one process, and leases
//! proven by pausing (SIGSTOP) whoever holds them.
//!
//! The tests share one such platform, so they run one after the other.

mod assigned;
mod claims;
mod relay;
mod revocation;
mod search;

use lethe::demo::{self, Story};
use lethe_tests::{Apart, Api, alone, within};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::{collections::BTreeSet, time::Duration};

/// The platform, started with the program of these tests.
pub(crate) fn apart() -> &'static Apart {
    lethe_tests::apart(env!("CARGO_BIN_EXE_lethe-tested").as_ref())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demos_story_holds_between_separate_processes() {
    let _alone = alone().await;
    let apart = apart();
    let story = Story { folder: apart.folder.clone(), data: None, run: apart.run.clone() };
    let leftovers = demo::tell(&story).await.expect("the story holds");
    assert!(leftovers.is_clean(), "{leftovers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_gateway_began_the_other_goes_on_with() {
    let _alone = alone().await;
    let apart = apart();
    let here = apart.tenant().await.owner;
    let there = here.at(&apart.url(1));
    let mut wanted = BTreeSet::new();
    for number in 0..5 {
        let profile = json!({"name": format!("Person {number}")});
        let made = here.create("/v1/contacts", &format!("contact-{number}"), profile.clone()).await.ok();
        // The same key at the other one is the same request.
        let again = there.create("/v1/contacts", &format!("contact-{number}"), profile).await.ok();
        assert_eq!(made["contact_id"], again["contact_id"]);
        wanted.insert(made["contact_id"].as_str().expect("an id").to_owned());
    }
    let (mut found, mut path) = (BTreeSet::new(), "/v1/contacts?limit=2".to_owned());
    for gateway in [&here, &there].into_iter().cycle().take(6) {
        let page = gateway.get(&path).await.ok();
        let contacts = page["contacts"].as_array().expect("a page");
        found.extend(contacts.iter().filter_map(|contact| contact["contact_id"].as_str().map(str::to_owned)));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/contacts?limit=2&after={next}");
    }
    assert_eq!(found, wanted);
}

/// The superuser's way into a service's database.
async fn superuser(service: &str) -> PgConnection {
    PgConnection::connect(&format!("{}/{service}", apart().run.admin_url))
        .await
        .expect("the superuser gets in")
}

/// A new contact in a conversation: both ids.
async fn talk(api: &Api, nonce: &str) -> (String, String) {
    let profile = json!({"name": format!("Person {nonce}"), "email": format!("{nonce}@example.org")});
    let contact = api.create("/v1/contacts", nonce, profile).await.ok();
    let contact = contact["contact_id"].as_str().expect("an id").to_owned();
    let opened = json!({"contact_id": contact, "channel": "live_chat"});
    let opened = api.create("/v1/conversations", &format!("{nonce}-talk"), opened).await.ok();
    (contact, opened["conversation_id"].as_str().expect("an id").to_owned())
}

/// A message of the contact, under `word` as its key, with that word in it.
async fn receive(api: &Api, conversation: &str, word: &str) -> Value {
    let path = format!("/v1/conversations/{conversation}/inbound-messages");
    let body = json!({"text": format!("It is about {word} again.")});
    let mut answer = api.create(&path, word, body.clone()).await;
    // A replica that was paused with the call in hand: the key makes it safe to ask again.
    for _ in 0..5 {
        if !answer.status.is_server_error() {
            break;
        }
        answer = api.create(&path, word, body.clone()).await;
    }
    answer.ok()
}

/// How many messages a search finds; none while search is on its way from one replica to the other.
async fn found(api: &Api, word: &str) -> usize {
    let answer = api.send(Method::POST, "/v1/search/messages", &[], Some(json!({"query": word}))).await;
    answer.body["hits"].as_array().map_or(0, Vec::len)
}

async fn is_found_once(api: &Api, word: &str) {
    within(Duration::from_secs(60), "the message is found once", async || found(api, word).await == 1).await;
}

fn nonce() -> String {
    lethe_ambient::Entropy::system().uuid4().simple().to_string()[..12].to_owned()
}
