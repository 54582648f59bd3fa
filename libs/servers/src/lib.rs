//! Private PostgreSQL and nats-server processes on loopback, for `lethe dev` and for tests.
//!
//! A server ends with the process that started it, even when that one is killed: it runs under a shell that waits on a
//! pipe which only we hold open. It has a process group of its own, so that Ctrl-C reaches us alone and we stop things in order.

mod authority;
mod nats;
mod postgres;
mod supervised;

use std::{
    hash::{BuildHasher, RandomState},
    io,
    net::TcpListener,
    ops::Range,
    path::{Path, PathBuf},
};

pub use authority::{Authority, Certificate};
pub use nats::Nats;
pub use postgres::{Durability, Postgres};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The programs are not where they should be.
    #[error("{0} is missing: run `make servers`")]
    Missing(PathBuf),
    /// A program ended or did not answer in time; its log says why.
    #[error("{program} did not start; the last lines of {log}:\n{tail}")]
    NotStarted {
        /// Which program.
        program: &'static str,
        /// Its log file.
        log: PathBuf,
        /// The end of the log.
        tail: String,
    },
    /// The machine refused something.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// What the machine said.
        #[source]
        source: io::Error,
    },
}

impl ServerError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |source| Self::Io { what, source }
    }

    fn not_started(program: &'static str, log: &Path) -> Self {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(8)..].join("\n");
        Self::NotStarted { program, log: log.into(), tail }
    }
}

/// Where the programs are: the folder that `scripts/servers` filled.
#[derive(Clone, Debug)]
pub struct Programs(PathBuf);

impl Programs {
    /// The programs in `folder`.
    ///
    /// # Errors
    /// [`ServerError::Missing`] when one is not there.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Result<Self, ServerError> {
        let folder = folder.into();
        for program in ["pg/bin/postgres", "pg/bin/initdb", "bin/nats-server"] {
            if !folder.join(program).exists() {
                return Err(ServerError::Missing(folder.join(program)));
            }
        }
        Ok(Self(folder))
    }

    /// The programs where `scripts/servers` puts them: `LETHE_SERVERS`, else `~/.cache/lethe/servers`.
    ///
    /// # Errors
    /// [`ServerError::Missing`] when one is not there.
    #[allow(
        clippy::disallowed_methods,
        reason = "where programs are is a matter of the machine, not of the configuration"
    )]
    pub fn find() -> Result<Self, ServerError> {
        let home =
            || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/lethe/servers");
        Self::in_folder(std::env::var_os("LETHE_SERVERS").map_or_else(home, PathBuf::from))
    }

    /// One of PostgreSQL's programs: `psql`, `pg_dump`, ...
    pub fn postgres(&self, program: &str) -> PathBuf {
        self.0.join("pg/bin").join(program)
    }

    /// Where PostgreSQL's libraries are, for `LD_LIBRARY_PATH`.
    pub fn libraries(&self) -> PathBuf {
        self.0.join("pg/lib")
    }

    fn nats(&self) -> PathBuf {
        self.0.join("bin/nats-server")
    }
}

/// Ports that the kernel hands to nobody by itself (ip_local_port_range begins at 32,768).
const PORTS: Range<u16> = 10_000..32_768;

/// A port of loopback that was free a moment ago. It is chosen by chance (of the process's own, for no result depends on it) among those that no connection gets by itself: a
/// server may take seconds until it listens, and whoever asks for any port meanwhile must not be given its.
///
/// # Errors
/// When a hundred of them are taken.
pub fn free_port() -> io::Result<u16> {
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..100 {
        let by_chance = RandomState::new().hash_one(()) % u64::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(by_chance).map_err(io::Error::other)?;
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_listener) => return Ok(port),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}
