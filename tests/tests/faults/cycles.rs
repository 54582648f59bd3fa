//! Sixty times something is killed (SIGKILL) under load: the services, PostgreSQL, the keystore's, NATS, in an order that
//! nobody chose. A journal outside says what was acknowledged; afterwards all of it is there, once, and found.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use lethe_ambient::Entropy;
use lethe_servers::Durability;
use lethe_tests::within;
use serde_json::{Value, json};

use super::stage::{Stage, found, nonce, talk, text};

const CYCLES: usize = 60;
const WRITERS: usize = 4;
/// Acknowledgements between two kills.
const BETWEEN: usize = 8;
/// Under this a request is answered, or given up and sent again under its key.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
enum Victim {
    Services,
    Postgres,
    Keystore,
    Nats,
}

const VICTIMS: [Victim; 4] = [Victim::Services, Victim::Postgres, Victim::Keystore, Victim::Nats];

#[tokio::test(flavor = "multi_thread")]
async fn killed_sixty_times_at_random_nothing_acknowledged_is_lost_and_nothing_doubles() {
    let _alone = lethe_tests::alone().await;
    let entropy = Entropy::system();
    // What is acknowledged must outlive PostgreSQL's process: commits are as in production.
    let mut stage = Stage::begin_with(Durability::Durable).await;
    let url = RwLock::new(stage.serve().await);
    let at = || url.read().expect("nobody panicked").clone();
    let owner = stage.owner(&at()).await;
    let talk = talk(&owner).await;
    let (journal, stop, acknowledged) =
        (Mutex::<BTreeMap<String, String>>::default(), AtomicBool::new(false), AtomicUsize::new(0));
    let run = nonce();
    let writers = join_all((0..WRITERS).map(async |writer| {
        for number in 0.. {
            let word = format!("zq{run}w{writer}n{number}");
            // The same request, until somebody acknowledges it: under its key it is one message, however often it is sent.
            let id = loop {
                if let Some(accepted) = send(&at(), &owner.token, &talk.inbound(), &word).await {
                    break text(&accepted, "message_id");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            journal.lock().expect("nobody panicked").insert(word, id);
            acknowledged.fetch_add(1, Ordering::SeqCst);
            if stop.load(Ordering::SeqCst) {
                return;
            }
        }
    }));
    let killer = async {
        for cycle in 0..CYCLES {
            let [choice, pause, ..] = entropy.uuid4().into_bytes();
            let victim = VICTIMS[usize::from(choice) % VICTIMS.len()];
            let before = acknowledged.load(Ordering::SeqCst);
            stage.kill(victim).await;
            tokio::time::sleep(Duration::from_millis(u64::from(pause))).await;
            if let Some(elsewhere) = stage.revive(victim).await {
                *url.write().expect("nobody panicked") = elsewhere;
            }
            within(
                Duration::from_secs(90),
                &format!("cycle {cycle}, {victim:?} killed: it goes on"),
                async || acknowledged.load(Ordering::SeqCst) >= before + BETWEEN,
            )
            .await;
        }
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(writers, killer);

    let (journal, owner) = (journal.into_inner().expect("nobody panicked"), stage.owner(&at()).await);
    assert!(journal.len() >= CYCLES * BETWEEN);
    for (word, id) in &journal {
        let kept = owner.get(&format!("/v1/messages/{id}")).await.ok();
        assert_eq!(text(&kept, "text"), said(word), "{id}");
    }
    let mut messaging = stage.superuser("messaging").await;
    let kept: i64 = sqlx::query_scalar("select count(*) from messages")
        .fetch_one(&mut messaging)
        .await
        .expect("a number");
    assert_eq!(usize::try_from(kept), Ok(journal.len()), "each was accepted once");
    for word in journal.keys() {
        within(Duration::from_secs(90), "each message is found once", async || {
            found(&owner, word).await == 1
        })
        .await;
    }
}

fn said(word: &str) -> String {
    format!("It is about {word} again.")
}

/// The answer's body when it is a success; nothing when somebody died over it.
async fn send(url: &str, token: &str, path: &str, word: &str) -> Option<Value> {
    let request = reqwest::Client::new()
        .post(format!("{url}{path}"))
        .timeout(PATIENCE)
        .bearer_auth(token)
        .header("idempotency-key", word)
        .header("content-type", "application/json")
        .body(json!({"text": said(word)}).to_string());
    let answer = request.send().await.ok()?;
    let status = answer.status();
    let body = answer.bytes().await.ok()?;
    // 409: the first try is still under way.
    if status.is_server_error() || [409, 429].contains(&status.as_u16()) {
        return None;
    }
    assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).ok()
}

impl Stage {
    async fn kill(&mut self, victim: Victim) {
        match victim {
            Victim::Services => self.kill_services().await,
            Victim::Postgres => self.kill_postgres("postgres").await,
            Victim::Keystore => self.kill_postgres("keystore").await,
            Victim::Nats => self.kill_bus().await,
        }
    }

    /// Starts what was killed; answers where the services are when they are somewhere else now.
    async fn revive(&mut self, victim: Victim) -> Option<String> {
        match victim {
            Victim::Services => return Some(self.serve().await),
            Victim::Postgres => self.start_postgres("postgres").await,
            Victim::Keystore => self.start_postgres("keystore").await,
            Victim::Nats => self.start_bus().await,
        }
        None
    }
}
