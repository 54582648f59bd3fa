//! `lethe erasures`: the erasures of all tenants that are under way, why they wait, and "try it now".

use lethe_proto::retention::{
    Erasure, HastenErasureRequest, ListOpenErasuresRequest, OpenErasure, ParticipantState,
};

use time::OffsetDateTime;

use crate::{
    Config, cli,
    operate::{self, Operation},
    status::{ago, instant, until},
};

/// Erasures that are read at once.
pub(crate) const PAGE: u32 = 1_000;

/// `lethe erasures list`.
#[allow(clippy::print_stdout, reason = "what was asked for goes to standard output")]
pub(crate) async fn list(config: Config) -> anyhow::Result<()> {
    let operation = Operation::open(&config).await?;
    let (open, now) = (open(&operation).await?, operation.now());
    for OpenErasure { tenant_id, erasure } in &open {
        let erasure = erasure.clone().unwrap_or_default();
        println!(
            "{}  {:<12} received {}, due {}  tenant {tenant_id}",
            erasure.erasure_id,
            state(&erasure),
            ago(instant(erasure.received_at), now),
            until(instant(erasure.due_at), now),
        );
        for waits in waiting(&erasure, now) {
            println!("    {waits}");
        }
    }
    match open.len() {
        0 => println!("no erasure is under way"),
        many => println!("\n{many} under way. `lethe erasures hasten ID` has one tried again at once."),
    }
    operation.close().await
}

/// `lethe erasures hasten`.
#[allow(clippy::print_stdout, reason = "what was done goes to standard output")]
pub(crate) async fn hasten(config: Config, which: cli::Hasten) -> anyhow::Result<()> {
    let operation = Operation::open(&config).await?;
    let found = open(&operation).await?;
    let found = found
        .into_iter()
        .find(|open| open.erasure.as_ref().is_some_and(|erasure| erasure.erasure_id == which.erasure));
    let OpenErasure { tenant_id, .. } =
        found.ok_or_else(|| anyhow::anyhow!("{} is not under way", which.erasure))?;
    let request = HastenErasureRequest { tenant_id, erasure_id: which.erasure.clone() };
    operation.erasures().hasten_erasure(request).await.map_err(|status| operate::refused(&status))?;
    println!("{} is tried again now; `lethe erasures list` says what comes of it", which.erasure);
    operation.close().await
}

/// What is under way, the one that is due first at the front.
pub(crate) async fn open(operation: &Operation) -> anyhow::Result<Vec<OpenErasure>> {
    let answer = operation.erasures().list_open_erasures(ListOpenErasuresRequest { limit: PAGE }).await;
    Ok(answer.map_err(|status| operate::refused(&status))?.into_inner().erasures)
}

/// A line for each participant that an erasure waits for.
pub(crate) fn waiting(erasure: &Erasure, now: OffsetDateTime) -> Vec<String> {
    // Who waits for the others is not what is waited for.
    let waits = |state: &&ParticipantState| !["", "OTHERS"].contains(&state.waits_for.as_str());
    let line = |state: &ParticipantState| {
        let tried = format!("{} tries", state.attempts);
        format!(
            "{}: {} ({tried}, next {})",
            state.participant,
            state.waits_for,
            until(instant(state.next_attempt_at), now)
        )
    };
    erasure.participants.iter().filter(waits).map(line).collect()
}

/// `RE_VERIFIED` as `re-verified`.
pub(crate) fn state(erasure: &Erasure) -> String {
    let name = erasure.state().as_str_name();
    name.trim_start_matches("ERASURE_STATE_").to_lowercase().replace('_', "-")
}
