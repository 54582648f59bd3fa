//! The leases of the index. The replica that has them is paused; the other one fills its own index and answers; a person is
//! erased meanwhile. When the first comes back it finds nothing that is its own any more, and lets go of all its words.

use std::{fs, path::PathBuf, time::Duration};

use lethe_search::engine::tantivy::read_folder;
use lethe_tests::{alone, erase, within};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{apart, found, is_found_once, nonce, receive, superuser, talk};

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_was_paused_past_its_leases_answers_nothing_and_is_emptied() {
    let _alone = alone().await;
    let apart = apart();
    let owner = apart.tenant().await.owner;
    let mut search = superuser("search").await;
    let (stays, goes) = (talk(&owner, &nonce()).await, talk(&owner, &nonce()).await);
    let words: Vec<String> = (0..4).map(|_| format!("zq{}", nonce())).collect();
    receive(&owner, &stays.1, &words[0]).await;
    receive(&owner, &goes.1, &words[1]).await;
    is_found_once(&owner, &words[0]).await;
    is_found_once(&owner, &words[1]).await;

    let first = holder(&mut search).await;
    let number = (0..2).find(|number| id_of(*number) == Some(first)).expect("a replica has the index");
    assert_eq!(holds_word(number, &words[1]), Some(true));
    let paused = apart.processes["search"][number].pause();
    within(Duration::from_secs(60), "the other one takes over", async || holder(&mut search).await != first)
        .await;
    receive(&owner, &stays.1, &words[2]).await;
    // What was indexed by the first one, and what came since.
    is_found_once(&owner, &words[0]).await;
    is_found_once(&owner, &words[2]).await;
    erase(&owner, &goes.0).await;
    assert_eq!(holds_word(number, &words[1]), Some(true), "a stopped process keeps what it had");

    paused.resume();
    within(Duration::from_secs(60), "the first one has let go of every word", async || {
        words.iter().all(|word| holds_word(number, word) == Some(false))
    })
    .await;
    assert_ne!(holder(&mut search).await, first);
    receive(&owner, &stays.1, &words[3]).await;
    is_found_once(&owner, &words[3]).await;
    for word in [&words[0], &words[2], &words[3]] {
        // Whichever replica is asked first.
        for _ in 0..6 {
            assert_eq!(found(&owner, word).await, 1);
        }
    }
    assert_eq!(found(&owner, &words[1]).await, 0);

    // And back again: it fills its index anew.
    let second = holder(&mut search).await;
    let paused = apart.processes["search"][1 - number].pause();
    within(Duration::from_secs(60), "the first takes over again", async || {
        holder(&mut search).await != second
    })
    .await;
    for word in [&words[0], &words[2], &words[3]] {
        is_found_once(&owner, word).await;
    }
    assert_eq!(found(&owner, &words[1]).await, 0);
    paused.resume();
}

async fn holder(search: &mut PgConnection) -> Uuid {
    sqlx::query_scalar("select holder from shard_leases where shard = 0")
        .fetch_one(search)
        .await
        .expect("a lease")
}

fn folder(number: usize) -> PathBuf {
    apart().folder.join(if number == 0 { "index".to_owned() } else { format!("index-{number}") })
}

/// The id of a replica's index.
fn id_of(number: usize) -> Option<Uuid> {
    let mark: Value = serde_json::from_slice(&fs::read(folder(number).join("mark.json")).ok()?).ok()?;
    mark["id"].as_str()?.parse().ok()
}

/// Whether a replica's files have the word among their terms; unknown where one could not be read and no other has it.
fn holds_word(number: usize, word: &str) -> Option<bool> {
    let mut holds = false;
    let read = read_folder(&folder(number), &mut |piece| holds |= piece.bytes.ends_with(word.as_bytes()));
    // Files come and go while a process writes.
    if holds || read.is_ok() { Some(holds) } else { None }
}
