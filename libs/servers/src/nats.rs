//! A nats-server of our own, with JetStream.

use std::{fs, path::Path, time::Duration};

use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::{Certificate, Programs, ServerError, supervised::Supervised};

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(15);
const USER: &str = "lethe";

/// A running nats-server. Dropping it ends the server in order.
#[derive(Debug)]
pub struct Nats {
    server: Supervised,
    port: u16,
}

impl Nats {
    /// Starts a server in `folder` on `port` of loopback, with one user `lethe`.
    ///
    /// # Errors
    /// When it does not take connections within 20 s.
    pub async fn start(
        programs: &Programs,
        folder: &Path,
        port: u16,
        password: &str,
    ) -> Result<Self, ServerError> {
        Self::launch(programs, folder, port, password, None).await
    }

    /// As [`Nats::start`], and lets nobody in but over TLS, showing `certificate`.
    ///
    /// # Errors
    /// As [`Nats::start`].
    pub async fn start_over_tls(
        programs: &Programs,
        folder: &Path,
        port: u16,
        password: &str,
        certificate: &Certificate,
    ) -> Result<Self, ServerError> {
        Self::launch(programs, folder, port, password, Some(certificate)).await
    }

    async fn launch(
        programs: &Programs,
        folder: &Path,
        port: u16,
        password: &str,
        certificate: Option<&Certificate>,
    ) -> Result<Self, ServerError> {
        let cannot = || ServerError::io(format!("cannot write in {}", folder.display()));
        fs::create_dir_all(folder).map_err(cannot())?;
        let (log, file) = (folder.join("log"), folder.join("server.conf"));
        let tls = certificate.map_or_else(String::new, |Certificate { certificate, key }| {
            format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}\n")
        });
        // JetStream's own encryption stays off: with it a secure delete overwrites nothing.
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\nmax_payload: 1MB\njetstream {{ store_dir: {:?} }}\nauthorization {{ user: {USER}, password: {password:?} }}\n{tls}",
            folder.join("store")
        );
        write_private(&file, &text).map_err(cannot())?;
        let arguments = [programs.nats().into_os_string(), "-c".into(), file.into_os_string()];
        let mut server = Supervised::start(&arguments, &[], "TERM", &log)?;
        let waited = tokio::time::timeout(START_LIMIT, async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                if server.ended() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            true
        });
        if waited.await != Ok(true) {
            return Err(ServerError::not_started("nats-server", &log));
        }
        Ok(Self { server, port })
    }

    /// The name of the one user.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// `nats://127.0.0.1:port`, without user and password.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Stops the clock for it (SIGSTOP): connections stand, and nothing is answered.
    pub fn pause(&self) {
        self.server.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.server.signal(Signal::CONT);
    }

    /// Ends the server in order.
    pub async fn stop(mut self) {
        self.server.stop(STOP_LIMIT).await;
    }

    /// Ends it as a crash would.
    pub async fn kill(mut self) {
        self.server.kill().await;
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?
        .write_all(text.as_bytes())
}
