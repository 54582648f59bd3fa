//! The services are killed (SIGKILL) in the middle of chunks of an import. Whoever asks where it stands goes on there; at the
//! end every row is in once, and the report says what it would have said.

use std::time::Duration;

use lethe_tests::{Api, within};
use serde_json::{Value, json};

use super::stage::{Stage, found, nonce, text};

const CONTACTS: usize = 120;
const TALKS: usize = 60;
/// Lines of a chunk.
const CHUNK: usize = 60;
/// Chunks in the middle of which the services are killed: of contacts, and of conversations.
const KILLED: [u64; 2] = [1, 3];
/// So many rows in, the chunk is cut off.
const ROWS_IN: i64 = 15;

/// The file: contacts, every tenth of which does not fit, and conversations of two messages with those that do.
fn file(nonce: &str) -> Vec<Value> {
    let contact = |n: usize| match n % 10 {
        9 => json!({"contact": {"key": format!("{nonce}-{n}"), "profile": {"phone": "12"}}}),
        _ => {
            let profile = json!({"name": "Somebody", "email": format!("{nonce}{n}@example.org")});
            json!({"contact": {"key": format!("{nonce}-{n}"), "profile": profile}})
        }
    };
    let talk = |n: usize| {
        let said = |key: &str, direction: &str, text: String| json!({"key": key, "direction": direction, "text": text, "sent_at": "2020-01-01T00:00:00Z"});
        let messages = [
            said("1", "inbound", format!("Is it zq{nonce}t{n}?")),
            said("2", "outbound", "It is.".to_owned()),
        ];
        let with = format!("{nonce}-{}", n / 9 * 10 + n % 9);
        json!({"conversation": {"key": format!("{nonce}-{n}"), "contact_key": with, "channel": "email", "messages": messages}})
    };
    (0..CONTACTS).map(contact).chain((0..TALKS).map(talk)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_mid_chunk_an_import_goes_on_and_every_row_is_in_once() {
    let _alone = lethe_tests::alone().await;
    let mut stage = Stage::begin().await;
    let url = stage.serve().await;
    let mut owner = stage.owner(&url).await;
    let nonce = nonce();
    let file = file(&nonce);
    let import = text(&owner.create("/v1/imports", &nonce, json!({})).await.ok(), "import_id");
    let path = format!("/v1/imports/{import}");
    let mut cut_off = Vec::new();
    loop {
        let at = owner.get(&path).await.ok();
        let lines = usize::try_from(at["lines"].as_u64().expect("a number")).expect("a place");
        if lines == file.len() {
            break;
        }
        let number = at["next_chunk"].as_u64().expect("a number");
        let rows: Vec<String> = file[lines..].iter().take(CHUNK).map(Value::to_string).collect();
        let chunk = format!("{path}/chunks/{number}");
        if KILLED.contains(&number) && !cut_off.contains(&number) {
            let before = rows_in(&stage).await;
            let killer = async {
                within(Duration::from_secs(60), "some rows are in", async || {
                    rows_in(&stage).await >= before + ROWS_IN
                })
                .await;
            };
            tokio::select! {
                taken = try_to_put(&owner, &chunk, &rows) => panic!("it was taken before it could be cut off: {taken:?}"),
                () = killer => {}
            }
            stage.kill_services().await;
            cut_off.push(number);
            let url = stage.serve().await;
            owner = stage.owner(&url).await;
        } else {
            let taken = try_to_put(&owner, &chunk, &rows).await.expect("it is taken");
            // The same once more, as if its answer had been lost.
            assert_eq!(try_to_put(&owner, &chunk, &rows).await, Some(taken));
        }
    }
    assert_eq!(cut_off, KILLED);
    let done = owner.send(reqwest::Method::POST, &format!("{path}/finish"), &[], None).await.ok();
    let (bad, good) = (CONTACTS / 10, CONTACTS - CONTACTS / 10);
    let counts = (&done["imported"], &done["already_there"], &done["refused"], &done["state"]);
    assert_eq!(counts, (&json!(good + TALKS), &json!(0), &json!(bad), &json!("finished")));
    let refused = owner.get(&format!("{path}/refused-rows?limit=200")).await.ok();
    let told: Vec<_> =
        refused["rows"].as_array().expect("rows").iter().map(|row| row["line"].as_u64()).collect();
    assert_eq!(told, (1..=bad).map(|n| Some(n as u64 * 10)).collect::<Vec<_>>());

    let mut messaging = stage.superuser("messaging").await;
    let kept: i64 = sqlx::query_scalar("select count(*) from messages where created_at < '2021-01-01'")
        .fetch_one(&mut messaging)
        .await
        .expect("a number");
    assert_eq!(usize::try_from(kept), Ok(2 * TALKS), "each message is there once");
    for n in (0..CONTACTS).filter(|n| n % 10 != 9).step_by(7) {
        let by = json!({"email": format!("{nonce}{n}@example.org")});
        let found = owner.post("/v1/contacts/look-up", by).await.ok();
        assert_eq!(found["contacts"].as_array().map(Vec::len), Some(1), "{n}");
    }
    for n in 0..TALKS {
        within(Duration::from_secs(60), "what was said is found once", async || {
            found(&owner, &format!("zq{nonce}t{n}")).await == 1
        })
        .await;
    }
}

/// How many rows are in, of contacts and conversations.
async fn rows_in(stage: &Stage) -> i64 {
    let mut messaging = stage.superuser("messaging").await;
    let count = sqlx::query_scalar("select count(*) from import_keys where kind <> 3");
    count.fetch_one(&mut messaging).await.expect("a number")
}

/// The answer's body, or nothing when the services died.
async fn try_to_put(owner: &Api, path: &str, rows: &[String]) -> Option<Value> {
    let request = reqwest::Client::new()
        .put(format!("{}{path}", owner.url))
        .bearer_auth(&owner.token)
        .header("content-type", "application/jsonl")
        .body(rows.join("\n"));
    let answer = request.send().await.ok()?;
    let status = answer.status();
    let body = answer.bytes().await.ok()?;
    assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).ok()
}
