//! `lethe demo`: the product's story in a terminal. Two tenants' chats come in through the public API, are found, one
//! person is erased, the certificate is verified offline, and every store's files are searched for what is left.

mod client;
mod data;
mod load;
mod person;
mod proof;

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use lethe_ambient::{Clock, Entropy};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    cli,
    dev::{self, Dev, Folder, Options, Run},
};
use client::{Client, text};
use person::Erased;
pub use proof::{Leftovers, Sought, search_leftovers, subjects};

/// How long the index may take for all that was loaded.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(120);
/// How long an erasure may take until it is certified.
const CERTIFIED_WITHIN: Duration = Duration::from_secs(60);

/// Tells the story; the exit code is 0 only when nothing undated is left.
pub(crate) async fn run(options: cli::Demo) -> anyhow::Result<ExitCode> {
    let own = match Folder::running(&options.folder) {
        Some(_) => None,
        None => {
            say("no `make up` runs in this folder: starting a platform for the demo");
            let own = Options { has_log: true, ..Options::new(&options.folder, 0) };
            Some(Dev::start(own, say).await?)
        }
    };
    let run = Folder::running(&options.folder).context("the platform has stopped")?;
    let told = tell(&Story { folder: options.folder, data: options.data, run }).await;
    if let Some(dev) = own {
        dev.stop().await?;
    }
    Ok(if told?.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A running `lethe dev`, and what to tell its story with.
#[derive(Debug, Clone)]
pub struct Story {
    /// Of the running platform.
    pub folder: PathBuf,
    /// Conversations to load; none: the project's own.
    pub data: Option<PathBuf>,
    /// What the platform says of itself.
    pub run: Run,
}

/// Tells it, and answers what is left of the erased person.
///
/// # Errors
/// At the first thing that does not hold.
pub async fn tell(story: &Story) -> anyhow::Result<Leftovers> {
    let Story { folder, data, run } = story;
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let conversations = data::conversations(data.as_deref())?;
    let nonce = entropy.uuid4().simple().to_string()[..8].to_owned();

    title("1. Two tenants sign in");
    let north = sign_in(folder, run, &format!("north-{nonce}"), &entropy).await?;
    let south = sign_in(folder, run, &format!("south-{nonce}"), &entropy).await?;

    title("2. Their customers' messages come in");
    let (for_north, for_south) = conversations.split_at(conversations.len().div_ceil(2));
    load::conversations(&[(&north, for_north), (&south, for_south)], &nonce).await?;

    title("3. One person writes, in several scripts");
    // A bulk of messages is indexed behind its acceptance: what is measured below is a message that comes in, not the bulk.
    let started = clock.millis();
    let settled = Erased::write(&north, run, &format!("{nonce}-s"), &clock, &entropy).await?;
    while count(&north.post("/v1/search/messages", settled.search()).await?) == 0 {
        if clock.millis() - started > CAUGHT_UP_WITHIN.as_millis() as i64 {
            bail!("the index has not caught up with what was loaded after two minutes");
        }
    }
    say(&format!("the index had caught up with the load after {} ms", clock.millis() - started));
    let erased = Erased::write(&north, run, &nonce, &clock, &entropy).await?;
    say(&format!("{} is contact {} and wrote {} messages", erased.name, erased.contact, erased.messages));
    let found = north.post("/v1/search/messages", erased.search()).await?;
    let took = clock.millis() - erased.accepted_ms;
    say(&format!(
        "searched for “{}”: {} found, {took} ms after the last message was accepted",
        erased.word,
        count(&found)
    ));
    if count(&found) == 0 || took > 10_000 {
        bail!("the message was not found within ten seconds");
    }
    if count(&south.post("/v1/search/messages", json!({"query": erased.word})).await?) != 0 {
        bail!("another tenant found the message");
    }
    say("the other tenant searches for the same word: nothing found");

    title("4. The person asks to be erased");
    let (erasure, certificate) = erase(&north, &erased, &clock).await?;
    for (what, path) in erased.paths() {
        let status = north.status(&path).await?;
        say(&format!("{what}: {status}"));
        if status != StatusCode::NOT_FOUND {
            bail!("{what} is still answered");
        }
    }
    let left = count(&north.post("/v1/search/messages", json!({"query": erased.word})).await?);
    say(&format!("searched for “{}” again: {left} found", erased.word));
    if left != 0 {
        bail!("the erased person's message is still found");
    }

    title("5. The certificate, verified offline");
    let keys = north.download("/.well-known/lethe-keys.json").await?;
    let statement = lethe_retention::certificate::verify(&certificate, &keys)?;
    let kept = keep(folder, &erasure, &certificate, &keys)?;
    say(&lethe_retention::certificate::explain(&statement));
    say(&format!(
        "kept as {}; check it yourself: {} verify {} --keys {}",
        kept.0.display(),
        std::env::current_exe().map_or("lethe".into(), |path| path.display().to_string()),
        kept.0.display(),
        kept.1.display()
    ));

    title("6. Every store's files are searched");
    let sought = Sought::person(erased.tokens, erased.subjects);
    let leftovers = search_leftovers(&folder.canonicalize()?, run, &sought, say).await?;
    say(&leftovers.to_string());
    Ok(leftovers)
}

/// A new tenant, made as an operator does it, and its owner's session.
async fn sign_in(folder: &Path, run: &Run, slug: &str, entropy: &Entropy) -> anyhow::Result<Client> {
    let email = format!("owner@{slug}.example");
    let (_, password) = dev::create_tenant(&folder.join("lethe.toml"), slug, &email).await?;
    let own_password = entropy.uuid4().simple().to_string();
    let client = Client::log_in(run.http()?, &run.url, slug, &email, &password, &own_password).await?;
    let me = client.get("/v1/self").await?;
    say(&format!("{slug}: signed in as {} {}", text(&me, "email")?, me["roles"]));
    Ok(client)
}

/// Requests, confirms and waits; answers the erasure's id and its certificate.
async fn erase(client: &Client, erased: &Erased, clock: &Clock) -> anyhow::Result<(String, Vec<u8>)> {
    let started = clock.millis();
    let requested = client
        .create("/v1/erasures", &format!("erase-{}", erased.contact), json!({"contact_id": erased.contact}))
        .await?;
    let erasure = text(&requested["erasure"], "erasure_id")?;
    say(&format!("{erasure} is due by {}; counted:", requested["erasure"]["due_at"].as_str().unwrap_or("?")));
    say(&tallies(&requested["erasure"]["tallies"]));
    let token = text(&requested, "confirmation_token")?;
    client.post(&format!("/v1/erasures/{erasure}/confirm"), json!({"confirmation_token": token})).await?;
    let mut seen = String::new();
    loop {
        let now = client.get(&format!("/v1/erasures/{erasure}")).await?;
        let state = text(&now, "state")?;
        if state != seen {
            say(&format!("{:>6} ms  {state}", clock.millis() - started));
            seen.clone_from(&state);
        }
        if state == "certified" || state == "re_verified" {
            break;
        }
        if clock.millis() - started > CERTIFIED_WITHIN.as_millis() as i64 {
            bail!("the erasure is not certified after a minute: {}", now["participants"]);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let certificate = client.download(&format!("/v1/erasures/{erasure}/certificate")).await?;
    Ok((erasure, certificate))
}

/// Keeps certificate and keys beside the data; answers where.
fn keep(folder: &Path, erasure: &str, certificate: &[u8], keys: &[u8]) -> anyhow::Result<(PathBuf, PathBuf)> {
    let folder = folder.join("certificates");
    std::fs::create_dir_all(&folder)?;
    let (file, published) = (folder.join(format!("{erasure}.json")), folder.join("lethe-keys.json"));
    std::fs::write(&file, certificate)?;
    std::fs::write(&published, keys)?;
    Ok((file, published))
}

fn tallies(tallies: &Value) -> String {
    let mut lines = String::new();
    for tally in tallies.as_array().into_iter().flatten() {
        let _infallible = writeln!(
            lines,
            "    {:>6}  {} in {}",
            tally["count"],
            tally["kind"].as_str().unwrap_or("?"),
            tally["store"].as_str().unwrap_or("?")
        );
    }
    lines.trim_end().to_owned()
}

fn count(found: &Value) -> usize {
    found["hits"].as_array().map_or(0, Vec::len)
}

#[allow(clippy::print_stdout, reason = "the story is told on standard output")]
fn say(line: &str) {
    println!("  {}", line.replace('\n', "\n  "));
}

#[allow(clippy::print_stdout, reason = "the story is told on standard output")]
fn title(line: &str) {
    println!("\n{line}");
}
