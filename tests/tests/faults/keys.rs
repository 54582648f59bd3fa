//! The key service is away, damaged, or hangs, and comes back. While a tenant's key may be used from memory everything goes on; then
//! it is refused by its name, at once, and nothing is lost; and when it is back, nobody has to do anything.

use std::{fs, path::Path, time::Duration};

use futures::future::join_all;
use lethe_tests::{Answer, Api, within};
use rustix::fs::{CWD, Mode, OFlags};
use serde_json::json;
use tokio::time::Instant;

use super::stage::{Stage, Talk, found, nonce, talk, text};

/// Keys are fresh for a second, and are used for four more.
const CACHE_S: u32 = 1;
const OUTAGE_S: u32 = 4;
/// More than the two and a look at the clock.
const OVER: Duration = Duration::from_secs(20);
/// Requests that come while nothing can be sealed.
const LOAD: usize = 200;

/// What befalls the key files.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Away,
    Damaged,
    /// Whoever reads a file waits.
    Hangs,
}

impl Trouble {
    fn begin(self, folder: &Path) {
        let aside = folder.with_extension("aside");
        fs::rename(folder, &aside).expect("the keys can be put aside");
        if matches!(self, Self::Away) {
            return;
        }
        fs::create_dir(folder).expect("a folder");
        for key in keys(&aside) {
            let file = folder.join(key.file_name().expect("a name"));
            match self {
                Self::Hangs => {
                    rustix::fs::mknodat(CWD, &file, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
                        .expect("a pipe");
                }
                _ => fs::write(&file, [0xff; 512]).expect("a file"),
            }
        }
    }

    fn end(self, folder: &Path) {
        if matches!(self, Self::Hangs) {
            // Whoever waits reads to the end of nothing, as from a disk that answers again.
            for key in keys(folder) {
                let opened = rustix::fs::open(&key, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty());
                drop(opened.expect("the pipe"));
            }
        }
        if !matches!(self, Self::Away) {
            fs::remove_dir_all(folder).expect("the rubbish goes");
        }
        fs::rename(folder.with_extension("aside"), folder).expect("the keys come back");
    }
}

fn keys(folder: &Path) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let keys: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "key")).collect();
    assert!(!keys.is_empty());
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_service_in_trouble_is_ridden_out_then_named_and_nothing_is_lost() {
    let _alone = lethe_tests::alone().await;
    let mut stage = Stage::begin().await;
    stage.tell("MESSAGING__KMS__CACHE_SECONDS", CACHE_S);
    stage.tell("MESSAGING__KMS__OUTAGE_SECONDS", OUTAGE_S);
    stage.tell("MESSAGING__KMS__TIMEOUT_MS", 500);
    let url = stage.serve().await;
    let owner = stage.owner(&url).await;
    let talk = talk(&owner).await;
    let folder = stage.folder().join("kms/messaging");
    let mut accepted = Vec::new();
    for trouble in [Trouble::Away, Trouble::Damaged, Trouble::Hangs] {
        accepted.push(send(&owner, &talk).await.expect("all is well"));
        trouble.begin(&folder);
        // Ridden out.
        let (began, mut ridden) = (Instant::now(), 0);
        let refused = loop {
            match send(&owner, &talk).await {
                Ok(word) => {
                    accepted.push(word);
                    ridden += 1;
                }
                Err(refused) => break refused,
            }
            assert!(began.elapsed() < OVER, "{trouble:?}: keys outlive their time");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert!(
            began.elapsed() >= Duration::from_secs(u64::from(OUTAGE_S) - 1) && ridden > 5,
            "{trouble:?}: {ridden} accepted in {:?}, then {refused:?}",
            began.elapsed()
        );
        assert_eq!(refused.problem(), (503, "KEY_SERVICE_UNAVAILABLE"), "{trouble:?}");
        assert!(refused.headers.contains_key("retry-after"), "{trouble:?}");
        // Whoever reads, and whoever comes anew, is told the same; under load too, and soon.
        let path = format!("/v1/conversations/{}/messages", talk.conversation);
        within(Duration::from_secs(5), "what is in memory of the contact ends, too", async || {
            owner.get(&path).await.problem() == (503, "KEY_SERVICE_UNAVAILABLE")
        })
        .await;
        let (before, began) = (stage.resident_mib(), Instant::now());
        let load = join_all((0..LOAD).map(|_| owner_creates(&owner))).await;
        for answer in &load {
            assert_eq!(answer.problem(), (503, "KEY_SERVICE_UNAVAILABLE"), "{trouble:?}: {}", answer.body);
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{trouble:?}: {:?}", began.elapsed());
        let grown = stage.resident_mib().saturating_sub(before);
        assert!(grown < 128, "{trouble:?}: {grown} MiB more");
        // The gateway lives and lets people in; the operator sees what is missing.
        owner.get("/readyz").await.ok();
        let (is_well, said) = stage.command(&["status", "--url", &url]).await;
        assert!(!is_well && said.contains("messaging: the key service does not answer"), "{said}");
        let log = fs::read_to_string(stage.root().join("log")).expect("a log");
        assert!(log.contains("not ready") && log.contains("kms"), "{}", stage.log());

        trouble.end(&folder);
        within(Duration::from_secs(10), "it goes on by itself", async || match send(&owner, &talk).await {
            Ok(word) => {
                accepted.push(word);
                true
            }
            Err(_) => false,
        })
        .await;
    }
    let path = format!("/v1/conversations/{}/messages?limit=200", talk.conversation);
    let listed = owner.get(&path).await.ok();
    let read = listed["messages"].as_array().expect("messages");
    assert_eq!(read.len(), accepted.len(), "each that was accepted, once");
    for word in &accepted {
        assert!(read.iter().any(|message| text(message, "text").contains(word)), "{word} is lost");
        within(Duration::from_secs(20), "it is found", async || found(&owner, word).await == 1).await;
    }
}

/// A message of a word of its own: the word, or the refusal.
async fn send(owner: &Api, talk: &Talk) -> Result<String, Answer> {
    let word = format!("zq{}", nonce());
    let answer = owner.create(&talk.inbound(), &word, json!({"text": format!("About {word}.")})).await;
    if answer.status.is_success() { Ok(word) } else { Err(answer) }
}

async fn owner_creates(owner: &Api) -> Answer {
    owner.create("/v1/contacts", &nonce(), json!({"name": "Somebody new"})).await
}
