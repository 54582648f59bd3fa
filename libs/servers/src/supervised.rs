//! A child process that does not outlive us.

use std::{ffi::OsStr, fs::File, path::Path, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use crate::ServerError;

/// Runs "$@" until it ends or the pipe on our standard input closes; then asks it to stop with the signal given first.
const SHELL: &str = r#"
signal=$1; shift
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
( cat <&3 >/dev/null; kill -"$signal" "$server" ) 2>/dev/null &
watcher=$!
exec 3<&-
wait "$server"; code=$?
kill "$watcher" 2>/dev/null
exit "$code"
"#;

/// A server under its shell. Dropping it closes the pipe, which ends the server in order.
#[derive(Debug)]
pub(crate) struct Supervised {
    shell: Child,
}

impl Supervised {
    /// Starts `program`, with output appended to `log`. `stop_signal` is the name of the signal of an orderly end.
    pub(crate) fn start<S: AsRef<OsStr>>(
        program: &[S],
        environment: &[(&str, &Path)],
        stop_signal: &str,
        log: &Path,
    ) -> Result<Self, ServerError> {
        let append = || {
            File::options()
                .create(true)
                .append(true)
                .open(log)
                .map_err(ServerError::io(format!("cannot write {}", log.display())))
        };
        let mut command = Command::new("sh");
        command.arg("-c").arg(SHELL).arg("sh").arg(stop_signal).args(program);
        for (name, value) in environment {
            command.env(name, value);
        }
        command.stdin(Stdio::piped()).stdout(append()?).stderr(append()?).process_group(0);
        let shell = command.spawn().map_err(ServerError::io("cannot start a shell"))?;
        Ok(Self { shell })
    }

    /// Whether the server has ended.
    pub(crate) fn ended(&mut self) -> bool {
        matches!(self.shell.try_wait(), Ok(Some(_)))
    }

    /// Ends the server in order and waits for it, at most `limit`.
    pub(crate) async fn stop(&mut self, limit: Duration) {
        drop(self.shell.stdin.take());
        if tokio::time::timeout(limit, self.shell.wait()).await.is_err() {
            self.kill().await;
        }
    }

    /// Sends a signal to every process of its group.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(group) = self.shell.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            // The group is gone already when the server has just ended by itself.
            let _gone = kill_process_group(group, signal);
        }
    }

    /// Ends the server at once, as a crash would: every process of its group.
    pub(crate) async fn kill(&mut self) {
        self.signal(Signal::KILL);
        let _status = self.shell.wait().await;
    }
}
