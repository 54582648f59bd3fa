//! `lethe certificates`: what separate processes show one another, for trying and developing. In a cluster cert-manager
//! makes them, in the same shape.

use std::path::Path;

use lethe_ambient::Clock;
use lethe_servers::{Authority, Certificate};
use time::Duration;

use crate::{cli, platform::SERVICES};

/// How long they are good for; made again before that, they are read by running processes.
const LIFE: Duration = Duration::days(90);

/// Makes them, and says what they are for.
#[allow(clippy::print_stdout, reason = "where the files are is what a person asked for")]
pub(crate) fn run(options: &cli::Certificates) -> anyhow::Result<()> {
    let hosts: Vec<&str> = options.hosts.iter().map(String::as_str).collect();
    let authority = make(&options.folder, &hosts, &Clock::system())?;
    println!("ca.pem           the authority, for [tls] ca = {:?}", authority.certificate().display());
    println!(
        "<service>.pem    for [tls] of the process that runs the service, with <service>-key.pem: {}",
        SERVICES.join(", ")
    );
    println!("host.pem         for [gateway.tls] and the stores, with host-key.pem: {}", hosts.join(", "));
    Ok(())
}

/// One for each service, by its name, and one for `hosts`: `host.pem`.
///
/// # Errors
/// When the folder cannot be written or a host is no name.
pub fn make(folder: &Path, hosts: &[&str], clock: &Clock) -> anyhow::Result<Authority> {
    let authority = Authority::in_folder(folder, clock.now())?;
    let issue = |file: &str, names: &[&str]| -> anyhow::Result<Certificate> {
        Ok(authority.issue(file, names, clock.now(), LIFE)?)
    };
    for service in SERVICES {
        issue(service, &[service])?;
    }
    issue("host", hosts)?;
    Ok(authority)
}
