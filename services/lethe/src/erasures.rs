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

/// A line for each participant that an erasure waits for. Who waits for the others is not what is waited for.
pub(crate) fn waiting(erasure: &Erasure, now: OffsetDateTime) -> Vec<String> {
    lines(erasure, now, &["", "OTHERS"])
}

/// Those for which something is in the way: that a person confirms and that the day of the second verification comes is as it should be.
pub(crate) fn troubled(erasure: &Erasure, now: OffsetDateTime) -> Vec<String> {
    lines(erasure, now, &["", "OTHERS", "CONFIRMATION", "RE_VERIFICATION_DUE"])
}

fn lines(erasure: &Erasure, now: OffsetDateTime, but: &[&str]) -> Vec<String> {
    let waits = |state: &&ParticipantState| !but.contains(&state.waits_for.as_str());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_its_day_or_its_confirmation_is_no_trouble() {
        let state = |waits_for: &str| ParticipantState {
            participant: "search".to_owned(),
            waits_for: waits_for.to_owned(),
            ..ParticipantState::default()
        };
        let waits = ["", "OTHERS", "CONFIRMATION", "RE_VERIFICATION_DUE", "LEGAL_HOLD", "UNAVAILABLE"];
        let erasure = Erasure { participants: waits.map(state).into(), ..Erasure::default() };
        let now = OffsetDateTime::UNIX_EPOCH;
        assert_eq!(waiting(&erasure, now).len(), 4);
        let troubled = troubled(&erasure, now);
        assert_eq!(troubled.len(), 2);
        assert!(
            troubled[0].starts_with("search: LEGAL_HOLD") && troubled[1].starts_with("search: UNAVAILABLE")
        );
    }
}
