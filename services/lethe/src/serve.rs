//! `lethe serve` and the two commands that ask a running platform how it is.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, bail};
use lethe_ambient::{Clock, Entropy};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    Config, cli,
    platform::{self, SERVICES},
};

/// How often a platform that is awaited is asked.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Serves until SIGINT or SIGTERM, then drains; a second signal ends the process at once.
#[allow(clippy::print_stdout, reason = "the address was asked for")]
pub(crate) async fn run(mut config: Config, options: cli::Serve) -> anyhow::Result<()> {
    let names = chosen(&options.services)?;
    if let Some(address) = options.http {
        config.gateway.listen = address;
    }
    let _signals = lethe_service::telemetry::init(&config.telemetry, "lethe", None)?;
    let running = platform::start_some(config, &names, Clock::system(), Entropy::system()).await?;
    if let Some(address) = running.http_address() {
        tracing::info!(%address, "listening");
        if options.print_address {
            println!("http://{address}");
        }
    }
    until_signal().await?;
    tracing::info!("draining");
    tokio::select! {
        stopped = running.stop() => stopped,
        _ = until_signal() => bail!("stopped at once, by a second signal"),
    }
}

/// The services that were named: `all`, or some.
fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static str>> {
    if names.iter().any(|name| name == "all") {
        return Ok(SERVICES.to_vec());
    }
    let known = |name: &String| SERVICES.into_iter().find(|service| service == name);
    names
        .iter()
        .map(|name| {
            known(name).with_context(|| format!("{name} is no service: all, {}", SERVICES.join(", ")))
        })
        .collect()
}

/// Completes at SIGINT (Ctrl-C) or SIGTERM.
pub(crate) async fn until_signal() -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// `lethe wait-for`.
pub(crate) async fn wait_for(probe: &cli::Probe) -> anyhow::Result<()> {
    wait_until_ready(&http(probe.ca.as_deref())?, &probe.url, Duration::from_secs(probe.timeout)).await
}

/// A client that trusts the authority in the file `ca`, or those that the machine trusts.
pub(crate) fn http(ca: Option<&Path>) -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder();
    let Some(ca) = ca else { return Ok(builder.build()?) };
    let pem = fs::read(ca).with_context(|| format!("cannot read {}", ca.display()))?;
    Ok(builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem)?).build()?)
}

/// Asks /readyz until it answers 200, at most `limit`.
pub(crate) async fn wait_until_ready(
    http: &reqwest::Client,
    url: &str,
    limit: Duration,
) -> anyhow::Result<()> {
    let mut last = String::from("nobody answers");
    let waited = tokio::time::timeout(limit, async {
        loop {
            match http.get(format!("{url}/readyz")).send().await {
                Ok(answer) if answer.status().is_success() => return,
                Ok(answer) => last = answer.text().await.unwrap_or_default(),
                Err(_) => {}
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    });
    match waited.await {
        Ok(()) => Ok(()),
        Err(_) => bail!("{url} is not ready after {} s: {last}", limit.as_secs()),
    }
}

/// `lethe healthcheck`: whether the process lives, which depends on no store.
pub(crate) async fn healthcheck(probe: &cli::Probe) -> anyhow::Result<()> {
    let asked =
        http(probe.ca.as_deref())?.get(format!("{}/livez", probe.url)).timeout(Duration::from_secs(3)).send();
    let answer = asked.await.context("nobody answers")?;
    if answer.status().is_success() { Ok(()) } else { bail!("{} answers {}", probe.url, answer.status()) }
}
