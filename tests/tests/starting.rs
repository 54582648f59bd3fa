//! `lethe dev` where things went wrong before: each is repaired, or said in a sentence with what to do.

use std::{fs, net::TcpListener, path::Path, process::Stdio, time::Duration};

use lethe::dev::Run;
use lethe_tests::{Api, within};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

fn dev(folder: &Path, port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lethe-tested"));
    command.arg("dev").arg("--folder").arg(folder).args(["--port", &port.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    command
}

/// Starts it; answers when it is ready, and its owner gets in.
async fn begin(folder: &Path) -> Child {
    // What a killed run said of itself.
    let run = folder.join("run.json");
    let _gone = fs::remove_file(&run);
    let said = folder.with_extension("said");
    let mut child =
        dev(folder, 0).stderr(fs::File::create(&said).expect("a file")).spawn().expect("it starts");
    within(Duration::from_secs(90), "it is ready", async || {
        let ended = child.try_wait().expect("a state").is_some();
        assert!(!ended, "{}", fs::read_to_string(&said).unwrap_or_default());
        run.exists()
    })
    .await;
    let run: Run = serde_json::from_slice(&fs::read(&run).expect("what it says")).expect("of itself");
    Api::log_in(&run.url, &run.tenant, &run.email, &run.password).await;
    child
}

/// What it says when it does not start.
async fn refusal(folder: &Path, port: u16) -> String {
    let ended = dev(folder, port).output().await.expect("it runs");
    assert!(!ended.status.success());
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

#[tokio::test]
async fn what_an_earlier_run_left_is_repaired_and_what_cannot_be_is_said() {
    let root = tempfile::Builder::new().prefix("lethe-start-").tempdir().expect("a folder");
    let folder = root.path().join("lethe");

    // The port is in use: said before anything is made.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port();
    let said = refusal(&folder, port).await;
    assert!(said.contains(&format!("port {port} is in use")) && said.contains("make up PORT="), "{said}");

    // A run that was killed while it made its first instance.
    fs::create_dir_all(folder.join("postgres/data.new/base")).expect("a folder");
    fs::write(folder.join("postgres/data.new/PG_VERSION"), "18\n").expect("a file");
    let mut killed = begin(&folder).await;

    // A second one in the same folder, which another clone would not share.
    let said = refusal(&folder, 0).await;
    assert!(said.contains("Lethe runs here already"), "{said}");

    // Killed; and since then the number in its pid file is somebody else's.
    killed.kill().await.expect("it dies");
    for instance in ["postgres", "keystore"] {
        let pid_file = folder.join(instance).join("data/postmaster.pid");
        within(Duration::from_secs(30), "its server is gone", async || !pid_file.exists()).await;
        let left = format!("{}\n{}\n", std::process::id(), folder.join(instance).join("data").display());
        fs::write(pid_file, left).expect("a file");
    }
    let mut stopped = begin(&folder).await;
    let pid = Pid::from_raw(i32::try_from(stopped.id().expect("it runs")).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::INT).expect("it is told to stop");
    assert!(stopped.wait().await.expect("it ends").success());

    // The clock was set back far since.
    fs::write(folder.join("last-ran"), "2999-01-01T00:00:00Z").expect("a file");
    let said = refusal(&folder, 0).await;
    assert!(said.contains("set the clock") && said.contains("last-ran"), "{said}");
}
