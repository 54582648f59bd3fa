//! A store that does not fall but limps: it is cut off, silent, slow, or says what is no protocol. What is acknowledged is where the
//! design says so; what is refused is refused by a name; nothing is lost, nothing doubles, memory is bounded; and when the wire
//! is mended, everything catches up by itself.

use std::time::Duration;

use futures::{StreamExt, stream};
use lethe_testkit::Proxy;
use lethe_tests::{Answer, Api, within};
use serde_json::json;
use tokio::time::Instant;

use super::stage::{Stage, Talk, found, nonce, talk, text};

/// Requests of a burst, and how many of them are under way.
const BURST: usize = 60;
const AT_ONCE: usize = 12;
/// A request takes so long at the most, whatever befalls: the gateway's own limit, and a second.
const ANSWERED: Duration = Duration::from_secs(17);
const GROWS: u64 = 192;
/// A batch of events that met the silence is given up after 30 s, and comes again; the rest is for a machine that runs all tests at once.
const CATCHES_UP: Duration = Duration::from_secs(90);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Cut,
    Silent,
    Slow,
    Rubbish,
}

const TROUBLES: [Trouble; 4] = [Trouble::Cut, Trouble::Silent, Trouble::Slow, Trouble::Rubbish];

impl Trouble {
    fn befall(self, proxy: &Proxy) {
        match self {
            Self::Cut => proxy.cut(),
            Self::Silent => proxy.fall_silent(),
            Self::Slow => proxy.slow_down(Duration::from_millis(20)),
            Self::Rubbish => proxy.babble(),
        }
    }
}

/// What was sent, and acknowledged under these ids.
#[derive(Default)]
struct Journal {
    kept: Vec<(String, String)>,
    /// Sent, and not acknowledged: sent again when all is well.
    open: Vec<String>,
}

impl Journal {
    /// A burst of messages; answers the refusals, and how long the slowest took.
    async fn burst(&mut self, owner: &Api, talk: &Talk) -> (Vec<Answer>, Duration) {
        let words: Vec<_> = (0..BURST).map(|_| format!("zq{}", nonce())).collect();
        let answers: Vec<_> = stream::iter(&words)
            .map(|word| async move {
                let began = Instant::now();
                (word, say(owner, talk, word).await, began.elapsed())
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let (mut refused, mut slowest) = (Vec::new(), Duration::ZERO);
        for (word, answer, took) in answers {
            slowest = slowest.max(took);
            if answer.status.is_success() {
                self.kept.push((word.clone(), text(&answer.body, "message_id")));
            } else {
                self.open.push(word.clone());
                refused.push(answer);
            }
        }
        (refused, slowest)
    }

    /// Everything that was not acknowledged is sent again under its key, until it is.
    async fn settle(&mut self, owner: &Api, talk: &Talk) {
        for word in std::mem::take(&mut self.open) {
            let mut id = String::new();
            within(CATCHES_UP, "it is accepted by itself", async || {
                let answer = say(owner, talk, &word).await;
                if answer.status.is_success() {
                    id = text(&answer.body, "message_id");
                }
                answer.status.is_success()
            })
            .await;
            self.kept.push((word, id));
        }
    }

    /// All is there, once, and found.
    async fn check(&self, stage: &Stage, owner: &Api) {
        for (word, id) in &self.kept {
            let kept = owner.get(&format!("/v1/messages/{id}")).await.ok();
            assert_eq!(text(&kept, "text"), format!("About {word}."));
        }
        let mut messaging = stage.superuser("messaging").await;
        let count = sqlx::query_scalar("select count(*) from messages").fetch_one(&mut messaging);
        let count: i64 = count.await.expect("a number");
        assert_eq!(usize::try_from(count), Ok(self.kept.len()), "each was accepted once");
        for (word, _) in &self.kept {
            within(CATCHES_UP, "it is found once", async || found(owner, word).await == 1).await;
        }
    }
}

async fn say(owner: &Api, talk: &Talk, word: &str) -> Answer {
    owner.create(&talk.inbound(), word, json!({"text": format!("About {word}.")})).await
}

/// Every refusal says that it is a store's trouble, and none is a defect.
fn are_typed(refused: &[Answer], codes: &[&str], trouble: Trouble) {
    for answer in refused {
        let (status, code) = answer.problem();
        assert!(
            matches!(status, 503 | 504) && codes.contains(&code),
            "{trouble:?}: {status} {}",
            answer.body
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keystore_in_trouble_stops_only_whom_it_has_the_keys_of() {
    let _alone = lethe_tests::alone().await;
    let mut stage = Stage::begin().await;
    let url = stage.serve().await;
    let mut owner = stage.owner(&url).await;
    let warm = talk(&owner).await;
    let mut cold = Vec::new();
    for _ in TROUBLES {
        cold.push(talk(&owner).await);
    }
    // Nobody's keys are in memory after a start, but of whom a message came.
    stage.kill_services().await;
    let proxy = stage.proxy("keystore").await;
    let url = stage.serve().await;
    owner = stage.owner(&url).await;
    let mut journal = Journal::default();
    assert!(journal.burst(&owner, &warm).await.0.is_empty());
    for (trouble, cold) in TROUBLES.into_iter().zip(&cold) {
        let before = stage.resident_mib();
        trouble.befall(&proxy);
        let (refused, slowest) = journal.burst(&owner, &warm).await;
        assert!(refused.is_empty(), "{trouble:?}: {:?}", refused[0]);
        assert!(slowest < Duration::from_secs(3), "{trouble:?}: {slowest:?}");
        let (refused, slowest) = journal.burst(&owner, cold).await;
        are_typed(&refused, &["KEYSTORE_UNAVAILABLE"], trouble);
        assert_eq!(refused.is_empty(), trouble == Trouble::Slow, "{trouble:?}");
        assert!(slowest < Duration::from_secs(12), "{trouble:?}: {slowest:?}");
        let grown = stage.resident_mib().saturating_sub(before);
        assert!(grown < GROWS, "{trouble:?}: {grown} MiB more");
        proxy.mend();
        journal.settle(&owner, cold).await;
    }
    journal.check(&stage, &owner).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_in_trouble_loses_nothing_and_says_so() {
    let _alone = lethe_tests::alone().await;
    let mut stage = Stage::begin().await;
    let proxy = stage.proxy("postgres").await;
    let url = stage.serve().await;
    let owner = stage.owner(&url).await;
    let talk = talk(&owner).await;
    let mut journal = Journal::default();
    assert!(journal.burst(&owner, &talk).await.0.is_empty());
    for trouble in TROUBLES {
        let before = stage.resident_mib();
        trouble.befall(&proxy);
        let (refused, slowest) = journal.burst(&owner, &talk).await;
        are_typed(
            &refused,
            &["DATABASE_UNAVAILABLE", "ACCEPT_TIMED_OUT", "DEADLINE_EXCEEDED", "SERVICE_UNAVAILABLE"],
            trouble,
        );
        assert_eq!(refused.is_empty(), trouble == Trouble::Slow, "{trouble:?}");
        assert!(slowest < ANSWERED, "{trouble:?}: {slowest:?}");
        let grown = stage.resident_mib().saturating_sub(before);
        assert!(grown < GROWS, "{trouble:?}: {grown} MiB more");
        proxy.mend();
        journal.settle(&owner, &talk).await;
    }
    journal.check(&stage, &owner).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_in_trouble_holds_up_nobody_and_search_catches_up() {
    let _alone = lethe_tests::alone().await;
    let mut stage = Stage::begin().await;
    let proxy = stage.proxy("nats").await;
    let url = stage.serve().await;
    let owner = stage.owner(&url).await;
    let talk = talk(&owner).await;
    let mut journal = Journal::default();
    assert!(journal.burst(&owner, &talk).await.0.is_empty());
    for trouble in TROUBLES {
        let before = stage.resident_mib();
        trouble.befall(&proxy);
        let (refused, slowest) = journal.burst(&owner, &talk).await;
        assert!(refused.is_empty(), "{trouble:?}: {:?}", refused[0]);
        assert!(slowest < Duration::from_secs(3), "{trouble:?}: {slowest:?}");
        if trouble != Trouble::Slow {
            within(Duration::from_secs(45), "it is said that NATS is missing", async || {
                stage.says_missing("nats")
            })
            .await;
        }
        let grown = stage.resident_mib().saturating_sub(before);
        assert!(grown < GROWS, "{trouble:?}: {grown} MiB more");
        proxy.mend();
        let (word, _) = journal.kept.last().expect("some");
        within(CATCHES_UP, &format!("{trouble:?}: search catches up"), async || {
            found(&owner, word).await == 1
        })
        .await;
        within(CATCHES_UP, "all are ready", async || !stage.says_missing("nats")).await;
    }
    journal.check(&stage, &owner).await;
}
