//! A PostgreSQL instance of our own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::Command;

use crate::{Certificate, Programs, ServerError, supervised::Supervised};

/// How long a start may take: recovery after a crash is part of it.
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What a commit means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// PostgreSQL's default: an acknowledged commit survives a crash of the machine.
    Durable,
    /// Nothing is synced: for tests whose data may be lost with the machine.
    Fast,
}

/// A running instance. Dropping it ends the server in order.
#[derive(Debug)]
pub struct Postgres {
    server: Supervised,
    port: u16,
    password: String,
}

impl Postgres {
    /// Starts an instance in `folder` on `port` of loopback, made anew when the folder has none. Its superuser is
    /// `lethe`, whose `password` counts when the instance is made.
    ///
    /// # Errors
    /// When it does not answer within a minute.
    pub async fn start(
        programs: &Programs,
        folder: &Path,
        port: u16,
        password: &str,
        durability: Durability,
    ) -> Result<Self, ServerError> {
        Self::launch(programs, folder, port, password, durability, None).await
    }

    /// As [`Postgres::start`], and lets nobody in but over TLS, showing `certificate`.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn start_over_tls(
        programs: &Programs,
        folder: &Path,
        port: u16,
        password: &str,
        durability: Durability,
        certificate: &Certificate,
    ) -> Result<Self, ServerError> {
        Self::launch(programs, folder, port, password, durability, Some(certificate)).await
    }

    async fn launch(
        programs: &Programs,
        folder: &Path,
        port: u16,
        password: &str,
        durability: Durability,
        certificate: Option<&Certificate>,
    ) -> Result<Self, ServerError> {
        let data = folder.join("data");
        let log = folder.join("log");
        fs::create_dir_all(folder).map_err(ServerError::io(format!("cannot make {}", folder.display())))?;
        if !data.join("PG_VERSION").exists() {
            initialise(programs, folder, &data, password, durability).await?;
        }
        clear_stale_pid(&data).await;
        let mut arguments = as_another_than_root();
        arguments.push(programs.postgres("postgres").into_os_string());
        arguments.extend(["-D".into(), data.clone().into(), "-p".into(), port.to_string().into()]);
        let mut settings = vec![
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=300",
            "log_min_messages=warning",
            // Statements may carry values: they never reach a log.
            "log_statement=none",
            "log_min_error_statement=panic",
            "log_error_verbosity=terse",
        ];
        if durability == Durability::Fast {
            settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"]);
        }
        let tls = match certificate {
            Some(certificate) => over_tls(folder, certificate)?,
            None => Vec::new(),
        };
        for setting in settings.into_iter().map(str::to_owned).chain(tls) {
            arguments.extend(["-c".into(), setting.into()]);
        }
        let environment = [("LD_LIBRARY_PATH", programs.libraries())];
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_path())).collect();
        let mut server = Supervised::start(&arguments, &environment, "INT", &log)?;
        let waited = tokio::time::timeout(START_LIMIT, async {
            while !is_ready(&data, port) {
                if server.ended() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            true
        });
        if waited.await != Ok(true) {
            return Err(ServerError::not_started("postgres", &log));
        }
        Ok(Self { server, port, password: password.to_owned() })
    }

    /// `postgres://lethe:…@127.0.0.1:port`, without a database: the superuser's way in.
    pub fn admin_url(&self) -> String {
        format!("postgres://lethe:{}@127.0.0.1:{}", self.password, self.port)
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server in order (fast shutdown).
    pub async fn stop(mut self) {
        self.server.stop(STOP_LIMIT).await;
    }

    /// Ends it as a crash would.
    pub async fn kill(mut self) {
        self.server.kill().await;
    }
}

/// The settings by which it shows `certificate` and refuses whoever comes in plain.
fn over_tls(folder: &Path, certificate: &Certificate) -> Result<Vec<String>, ServerError> {
    let entries = folder.join("hba.conf");
    fs::write(&entries, "hostssl all all 127.0.0.1/32 scram-sha-256\n")
        .map_err(ServerError::io(format!("cannot write {}", entries.display())))?;
    let Certificate { certificate, key } = certificate;
    Ok(vec![
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", certificate.display()),
        format!("ssl_key_file={}", key.display()),
        format!("hba_file={}", entries.display()),
    ])
}

async fn initialise(
    programs: &Programs,
    folder: &Path,
    data: &Path,
    password: &str,
    durability: Durability,
) -> Result<(), ServerError> {
    // Made beside its place and moved there when it is whole: a killed earlier run may have left half an instance.
    let half = folder.join("data.new");
    for left in [&half, &data.to_path_buf()] {
        if left.exists() {
            fs::remove_dir_all(left).map_err(ServerError::io(format!("cannot clear {}", left.display())))?;
        }
    }
    let password_file = PasswordFile::write(folder.join("initial-password"), password)?;
    let mut arguments = as_another_than_root();
    arguments.push(programs.postgres("initdb").into_os_string());
    let program = arguments.remove(0);
    let mut command = Command::new(program);
    command.args(arguments).arg("-D").arg(&half).args(["-U", "lethe", "--auth=scram-sha-256"]);
    command.arg("--pwfile").arg(&password_file.0);
    command.args([
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C.UTF-8",
    ]);
    command.arg("--no-instructions");
    if durability == Durability::Fast {
        command.arg("--no-sync");
    }
    let log = folder.join("log");
    let output = command
        .env("LD_LIBRARY_PATH", programs.libraries())
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(ServerError::io("cannot start initdb"))?;
    if output.status.success() {
        return fs::rename(&half, data).map_err(ServerError::io(format!("cannot make {}", data.display())));
    }
    fs::write(&log, [output.stdout, output.stderr].concat())
        .map_err(ServerError::io("cannot write a log"))?;
    Err(ServerError::not_started("initdb", &log))
}

/// PostgreSQL takes any living process whose number stands in its pid file for itself. After a crash of the machine, or in a
/// new container, that number is soon somebody else's: then the file goes. One that is PostgreSQL, left by a run that was
/// killed, is on its way out and is waited for.
async fn clear_stale_pid(data: &Path) {
    let file = data.join("postmaster.pid");
    let waited = tokio::time::timeout(STOP_LIMIT, async {
        while let Ok(text) = fs::read_to_string(&file) {
            let process = Path::new("/proc").join(text.lines().next().unwrap_or_default().trim());
            if fs::read_to_string(process.join("comm")).unwrap_or_default().trim() != "postgres" {
                let _gone = fs::remove_file(&file);
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    // One that does not go is PostgreSQL's to speak of.
    let _in_time = waited.await;
}

/// PostgreSQL refuses root: then it runs in a user namespace where we are somebody else.
fn as_another_than_root() -> Vec<std::ffi::OsString> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"].map(Into::into).into()
}

/// Whether the instance of `data` takes connections on `port`: the fourth and the eighth line of its pid file say so, and say it of
/// nobody else who may listen there.
fn is_ready(data: &Path, port: u16) -> bool {
    let said = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let said: Vec<_> = said.lines().map(str::trim).collect();
    matches!(said[..], [_, _, _, at, _, _, _, "ready", ..] if at == port.to_string())
}

/// The superuser's first password on its way into initdb: readable by us alone, and gone afterwards.
struct PasswordFile(PathBuf);

impl PasswordFile {
    fn write(path: PathBuf, password: &str) -> Result<Self, ServerError> {
        use std::{io::Write, os::unix::fs::OpenOptionsExt};
        let cannot = || ServerError::io(format!("cannot write {}", path.display()));
        let mut file = fs::File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .map_err(cannot())?;
        file.write_all(password.as_bytes()).map_err(cannot())?;
        Ok(Self(path))
    }
}

impl Drop for PasswordFile {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.0);
    }
}
