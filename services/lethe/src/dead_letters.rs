//! `lethe dead-letters`: what consumers gave up on, listed and replayed.

use lethe_proto::operation::{DeadLetter, ListDeadLettersRequest, ReplayDeadLetterRequest};
use tonic::Code;

use crate::{
    Config, cli,
    operate::{self, Operation, own_databases},
    status::{ago, instant},
};

/// Letters of a service that are read at once.
const PAGE: u32 = 1_000;

/// `lethe dead-letters list`: a line a letter, the oldest first.
#[allow(clippy::print_stdout, reason = "what was asked for goes to standard output")]
pub(crate) async fn list(config: Config) -> anyhow::Result<()> {
    let operation = Operation::open(&config).await?;
    let (mut found, mut more) = (0, false);
    for (service, _) in own_databases(&config) {
        let letters = letters(&operation, service).await?;
        more |= letters.len() == PAGE as usize;
        for letter in letters {
            found += 1;
            println!(
                "{service:<10} {}  {:<30} {:<24} {} tries, {}  tenant {}",
                letter.event_id,
                letter.kind,
                letter.reason,
                letter.attempts,
                ago(instant(letter.died_at), operation.now()),
                letter.tenant_id,
            );
        }
    }
    match found {
        0 => println!("no dead letters"),
        _ => println!(
            "\n{found}{}. With the cause removed: `lethe dead-letters replay --all`, or an event's id instead of --all.",
            if more { " of the oldest, and more" } else { " in all" }
        ),
    }
    operation.close().await
}

/// `lethe dead-letters replay`: puts them on the bus once more.
#[allow(clippy::print_stdout, reason = "what was done goes to standard output")]
pub(crate) async fn replay(config: Config, which: cli::Replay) -> anyhow::Result<()> {
    let operation = Operation::open(&config).await?;
    let (mut replayed, mut more) = (0, false);
    for (service, _) in own_databases(&config) {
        let found = letters(&operation, service).await?;
        more |= found.len() == PAGE as usize;
        for letter in found {
            if which.event.as_ref().is_some_and(|event| *event != letter.event_id) {
                continue;
            }
            let DeadLetter { tenant_id, consumer, event_id, .. } = letter;
            let request = ReplayDeadLetterRequest { tenant_id, consumer, event_id };
            match operation.events(service).replay_dead_letter(request).await {
                Ok(_) => replayed += 1,
                // Somebody else was first.
                Err(status) if status.code() == Code::NotFound => {}
                Err(status) => return Err(operate::refused(&status)),
            }
        }
    }
    println!("{replayed} replayed; `lethe status` says whether one died again");
    if more {
        println!("there were more than {PAGE}, the oldest were replayed: once more for the next");
    }
    operation.close().await?;
    anyhow::ensure!(replayed > 0 || which.all, "there is no such dead letter");
    Ok(())
}

async fn letters(operation: &Operation, service: &str) -> anyhow::Result<Vec<DeadLetter>> {
    let answer = operation.events(service).list_dead_letters(ListDeadLettersRequest { limit: PAGE }).await;
    Ok(answer
        .map_err(|status| operate::refused(&status).context(service.to_owned()))?
        .into_inner()
        .dead_letters)
}
