//! `lethe status`: in one screen, what is well and what is not. It reads the stores itself, so it answers when no service
//! runs; and it never names a person.

use std::{fmt::Write, path::Path, process::ExitCode, time::Duration};

use lethe_ambient::{Clock, Entropy};
use lethe_proto::{
    operation::{Backlog, GetBacklogRequest},
    retention::OpenErasure,
};
use lethe_service::Database;
use time::{OffsetDateTime, macros::format_description};

use crate::{
    Config, cli, erasures,
    operate::{self, Operation, own_databases},
    serve,
};

/// Events may wait so long before it is said.
const OUTBOX_WAITS: time::Duration = time::Duration::seconds(30);
const CONSUMER_WAITS: time::Duration = time::Duration::seconds(60);
/// Clocks may differ by so much: tokens allow a minute.
const CLOCKS_DIFFER: time::Duration = time::Duration::seconds(5);
/// Free space below which it is said.
const SPACE: u64 = 1 << 30;
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// What was found, in the order in which it is printed.
#[derive(Debug, Default)]
struct Report {
    /// What is looked at, and how it is.
    lines: Vec<(String, String)>,
    /// What is not well, and what to do.
    troubles: Vec<String>,
}

/// `lethe status`. Exit code 1 when something is not well.
#[allow(clippy::print_stdout, reason = "what was asked for goes to standard output")]
pub(crate) async fn run(config: Config, options: cli::Status) -> anyhow::Result<ExitCode> {
    let operation = Operation::open(&config).await?;
    let now = operation.now();
    let mut report = Report::default();
    let scheme = if config.gateway.tls.is_some() { "https" } else { "http" };
    let url = options.url.unwrap_or_else(|| format!("{scheme}://{}", config.gateway.listen));
    gateway(&serve::http(options.ca.as_deref())?, &url, &mut report).await;
    for (service, _) in own_databases(&config) {
        let postgres = match operation.databases().get(service) {
            Some(db) => clock_of(db).await,
            None => None,
        };
        let Some(there) = postgres else {
            report.line(service, "its PostgreSQL does not answer".to_owned());
            report.trouble(format!("{service}: start its PostgreSQL, or look at `{service}.database.url`"));
            continue;
        };
        if (now - there).abs() > CLOCKS_DIFFER {
            let difference = lasting((now - there).abs());
            report.trouble(format!("{service}: the clocks of this machine and of PostgreSQL differ by {difference}: set them by NTP"));
        }
        match operation.events(service).get_backlog(GetBacklogRequest {}).await {
            Ok(backlog) => events(service, &backlog.into_inner(), now, &mut report),
            Err(status) => report.trouble(format!("{service}: {:#}", operate::refused(&status))),
        }
    }
    keys(&config, &mut report).await;
    match erasures::open(&operation).await {
        Ok(open) => requests(&open, now, &mut report),
        Err(error) => report.line("erasures", format!("unknown: {error:#}")),
    }
    space(&config.search.index_dir, &mut report);
    operation.close().await?;
    print!("{}", report.text(now));
    Ok(if report.troubles.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Report {
    fn line(&mut self, what: &str, how: String) {
        self.lines.push((what.to_owned(), how));
    }

    fn trouble(&mut self, what: String) {
        self.troubles.push(what);
    }

    fn text(&self, now: OffsetDateTime) -> String {
        let mut text = format!("Lethe at {}\n\n", date(now));
        for (what, how) in &self.lines {
            let _ = writeln!(text, "  {what:<12}{how}");
        }
        match self.troubles.as_slice() {
            [] => text.push_str("\nAll is well.\n"),
            troubles => {
                text.push_str("\nNot well:\n");
                for trouble in troubles {
                    let _ = writeln!(text, "  {trouble}");
                }
            }
        }
        text
    }
}

/// Whether the gateway says that it is ready.
async fn gateway(client: &reqwest::Client, url: &str, report: &mut Report) {
    let asked = client.get(format!("{url}/readyz")).timeout(ANSWERS_WITHIN).send().await;
    match asked {
        Ok(answer) if answer.status().is_success() => report.line("gateway", format!("ready at {url}")),
        Ok(answer) => {
            let missing: serde_json::Value = answer.json().await.unwrap_or_default();
            let missing = missing["field"].as_str().unwrap_or("something").to_owned();
            report.line("gateway", format!("not ready at {url}"));
            report.trouble(format!("gateway: {missing} is missing"));
        }
        Err(_) => {
            report.line("gateway", format!("nobody answers at {url}"));
            report.trouble(
                "gateway: it does not run (`make up`, `lethe serve`), or listens elsewhere".to_owned(),
            );
        }
    }
}

/// What the services' keys need.
async fn keys(config: &Config, report: &mut Report) {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let (identity, messaging, retention) = (&config.identity, &config.messaging, &config.retention);
    let services = [
        (lethe_identity::NAME, &identity.keystore, &identity.kms),
        (lethe_messaging::NAME, &messaging.keystore, &messaging.kms),
        (lethe_retention::NAME, &retention.keystore, &retention.kms),
    ];
    for (service, keystore, kms) in services {
        match lethe_keyring::missing(service, keystore, kms, (&clock, &entropy)).await {
            None => {}
            Some("kms") => report.trouble(format!(
                "{service}: the key service does not answer, or refuses: keys in memory are used for {} minutes, then nothing opens; look at `{service}.kms`",
                (kms.cache_seconds + kms.outage_seconds) / 60
            )),
            Some(_) => report.trouble(format!(
                "{service}: its keystore does not answer: start that PostgreSQL, or look at `{service}.keystore.url`"
            )),
        }
    }
}

/// PostgreSQL's clock; none when it does not answer.
async fn clock_of(db: &Database) -> Option<OffsetDateTime> {
    let asked = sqlx::query_scalar("select clock_timestamp()").fetch_one(db.jobs());
    tokio::time::timeout(ANSWERS_WITHIN, asked).await.ok()?.ok()
}

fn events(service: &str, backlog: &Backlog, now: OffsetDateTime, report: &mut Report) {
    let mut how = match backlog.outbox_waiting {
        0 => "all events published".to_owned(),
        waiting => format!(
            "{waiting} events unpublished, the oldest from {}",
            ago(instant(backlog.outbox_oldest_at), now)
        ),
    };
    for consumer in &backlog.consumers {
        let (name, area) = (&consumer.consumer, &consumer.area);
        let behind_since = instant(consumer.behind_since);
        let _ = match consumer.waiting + consumer.in_hand {
            0 => write!(how, " · {name} is up to date with {area}"),
            behind => write!(
                how,
                " · {name} is {behind} events of {area} behind, the first from {}",
                ago(behind_since, now)
            ),
        };
        if behind_since.is_some_and(|at| now - at > CONSUMER_WAITS) {
            report.trouble(format!("{service}: {name} is behind {area}, the first event from {}: does {service} run, is it ready?", ago(behind_since, now)));
        }
    }
    report.line(service, how);
    if !backlog.bus_answers {
        report.trouble(format!(
            "{service}: NATS does not answer; messages are accepted, and events wait in PostgreSQL"
        ));
    }
    let oldest = instant(backlog.outbox_oldest_at);
    if oldest.is_some_and(|at| now - at > OUTBOX_WAITS) {
        report.trouble(format!("{service}: events wait to be published, the oldest from {}: does {service} run, does NATS answer?", ago(oldest, now)));
    }
    if backlog.dead_letters > 0 {
        let (many, oldest) = (backlog.dead_letters, ago(instant(backlog.oldest_dead_letter_at), now));
        report.trouble(format!(
            "{service}: {many} dead letters, the oldest from {oldest}: `lethe dead-letters list`"
        ));
    }
}

fn requests(open: &[OpenErasure], now: OffsetDateTime, report: &mut Report) {
    let erasures = open.iter().filter_map(|open| open.erasure.as_ref());
    let (mut waiting, mut overdue) = (0, 0);
    for erasure in erasures {
        let waits = erasures::troubled(erasure, now);
        waiting += usize::from(!waits.is_empty());
        if let Some(first) = waits.first() {
            report.trouble(format!("erasure {} waits for {first}", erasure.erasure_id));
        }
        let is_done = erasure.certified_at.is_some();
        if !is_done && instant(erasure.due_at).is_some_and(|due| due < now) {
            overdue += 1;
            report.trouble(format!(
                "erasure {} was due {} (Art. 12(3) GDPR): `lethe erasures list`",
                erasure.erasure_id,
                ago(instant(erasure.due_at), now)
            ));
        }
    }
    report.line("erasures", format!("{} under way, {waiting} waiting, {overdue} overdue", open.len()));
}

fn space(folder: &Path, report: &mut Report) {
    let Ok(stat) = rustix::fs::statvfs(folder) else { return };
    let free = stat.f_bavail * stat.f_frsize;
    report
        .line("disk", format!("{:.1} GiB free under {}", free as f64 / f64::from(1 << 30), folder.display()));
    if free < SPACE {
        report.trouble(format!(
            "less than 1 GiB is free under {}: make room before PostgreSQL stops",
            folder.display()
        ));
    }
}

/// A protobuf's instant.
pub(crate) fn instant(at: Option<prost_types::Timestamp>) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(at?.seconds).ok()
}

/// `3 min ago`.
pub(crate) fn ago(at: Option<OffsetDateTime>, now: OffsetDateTime) -> String {
    at.map_or_else(|| "unknown".to_owned(), |at| format!("{} ago", lasting(now - at)))
}

/// `in 3 min`, or `3 min ago`.
pub(crate) fn until(at: Option<OffsetDateTime>, now: OffsetDateTime) -> String {
    match at {
        Some(at) if at > now => format!("in {}", lasting(at - now)),
        _ => ago(at, now),
    }
}

fn lasting(span: time::Duration) -> String {
    match span.whole_seconds().max(0) {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7_200 => format!("{} min", seconds / 60),
        seconds @ ..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

fn date(at: OffsetDateTime) -> String {
    at.format(format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC")).unwrap_or_default()
}
