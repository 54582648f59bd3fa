//! The services are killed (SIGKILL) while they accept. A journal outside says what was acknowledged; afterwards all of
//! it is there, once, and found.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use lethe_tests::{Api, within};
use serde_json::{Value, json};

use super::stage::{Stage, found, nonce, talk, text};

const WRITERS: usize = 4;
const KILLS: usize = 2;
/// Acknowledgements after which the services are killed.
const ENOUGH: usize = 60;

/// What was sent: its id once it was acknowledged.
type Journal = Mutex<BTreeMap<String, Option<String>>>;

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_accepting_nothing_acknowledged_is_lost_and_nothing_doubles() {
    let _alone = lethe_tests::alone().await;
    let mut stage = Stage::begin().await;
    let mut owner = stage.owner_after_start().await;
    let talk = talk(&owner).await;
    let journal = Journal::default();
    for round in 0..KILLS {
        let (acknowledged, nonce) = (AtomicUsize::new(0), nonce());
        let writers = join_all((0..WRITERS).map(async |writer| {
            for number in 0.. {
                let word = format!("zq{nonce}r{round}w{writer}n{number}");
                journal.lock().expect("no writer panics").insert(word.clone(), None);
                let Some(accepted) = try_to_send(&owner, &talk.inbound(), &word).await else { return };
                journal.lock().expect("no writer panics").insert(word, Some(text(&accepted, "message_id")));
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        }));
        let killer = async {
            within(Duration::from_secs(60), "enough is acknowledged", async || {
                acknowledged.load(Ordering::SeqCst) >= ENOUGH
            })
            .await;
            stage.kill_services().await;
        };
        tokio::join!(writers, killer);
        owner = stage.owner_after_start().await;
    }

    let journal = journal.into_inner().expect("no writer panicked");
    assert!(journal.values().flatten().count() >= KILLS * ENOUGH);
    for (word, id) in &journal {
        match id {
            Some(id) => {
                let kept = owner.get(&format!("/v1/messages/{id}")).await.ok();
                assert_eq!(text(&kept, "text"), said(word), "{id}");
            }
            // Nobody knows whether it was accepted: whoever asks again under the same key gets one message.
            None => drop(try_to_send(&owner, &talk.inbound(), word).await.expect("it is accepted now")),
        }
    }
    let mut messaging = stage.superuser("messaging").await;
    let kept: i64 = sqlx::query_scalar("select count(*) from messages")
        .fetch_one(&mut messaging)
        .await
        .expect("a number");
    assert_eq!(usize::try_from(kept), Ok(journal.len()), "each was accepted once");
    for word in journal.keys() {
        within(Duration::from_secs(60), "each message is found once", async || {
            found(&owner, word).await == 1
        })
        .await;
    }
}

fn said(word: &str) -> String {
    format!("It is about {word} again.")
}

/// The answer's body, or nothing when the services died.
async fn try_to_send(owner: &Api, path: &str, word: &str) -> Option<Value> {
    let request = reqwest::Client::new()
        .post(format!("{}{path}", owner.url))
        .bearer_auth(&owner.token)
        .header("idempotency-key", word)
        .header("content-type", "application/json")
        .body(json!({"text": said(word)}).to_string());
    let answer = request.send().await.ok()?;
    let status = answer.status();
    let body = answer.bytes().await.ok()?;
    // While it dies, a call may still be refused in order.
    if status.is_server_error() {
        return None;
    }
    assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).ok()
}

impl Stage {
    /// Starts the services and signs the owner in.
    async fn owner_after_start(&mut self) -> Api {
        let url = self.serve().await;
        self.owner(&url).await
    }
}
