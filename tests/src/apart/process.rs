//! One service in a process of its own.

use std::{path::Path, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

use crate::within;

/// Runs "$@" with its output in the file given first, says its process id, and kills it when the pipe on our standard
/// input closes, be it stopped or not: no process outlives the tests.
const SHELL: &str = r#"
log=$1; shift
exec 3<&0
"$@" 3<&- </dev/null >>"$log" 2>&1 &
service=$!
echo "$service"
( cat <&3 >/dev/null; kill -KILL "$service" ) 2>/dev/null &
watcher=$!
exec 3<&-
wait "$service" 2>/dev/null
kill "$watcher" 2>/dev/null
"#;

/// A process that runs one service.
pub struct Process {
    /// `messaging-0`.
    pub name: String,
    /// Where it listens.
    pub port: u16,
    pid: Pid,
    _shell: Child,
}

impl Process {
    /// Starts it and waits until it listens.
    pub(super) async fn start(
        program: &Path,
        service: &str,
        number: usize,
        port: u16,
        folder: &Path,
        environment: &[(String, String)],
    ) -> Self {
        let name = format!("{service}-{number}");
        let log = folder.join(format!("{name}.log"));
        let mut command = Command::new("sh");
        command.args(["-c", SHELL, "sh"]).arg(&log);
        command.arg(program).arg("--config").arg(folder.join("lethe.toml"));
        command.args(["serve", service]).envs(environment.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = command.spawn().expect("a shell starts");
        let said = BufReader::new(shell.stdout.take().expect("its output")).lines().next_line().await;
        let pid = said.ok().flatten().and_then(|line| line.parse().ok()).and_then(Pid::from_raw);
        let process = Self { name, port, pid: pid.expect("a process id"), _shell: shell };
        let what = format!("{} listens; its log is {}", process.name, log.display());
        within(Duration::from_secs(60), &what, async || {
            TcpStream::connect(("127.0.0.1", process.port)).await.is_ok()
        })
        .await;
        process
    }

    /// Its process id.
    pub fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Stops the clock for it (SIGSTOP), until what is answered is dropped.
    #[must_use]
    pub fn pause(&self) -> Paused<'_> {
        self.signal(Signal::STOP);
        Paused(self)
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("the process runs");
    }
}

/// A process that does not run at the moment.
pub struct Paused<'a>(&'a Process);

impl Paused<'_> {
    /// Lets it go on (SIGCONT).
    pub fn resume(self) {}
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.signal(Signal::CONT);
    }
}
