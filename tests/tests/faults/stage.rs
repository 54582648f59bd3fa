//! A platform that can be hurt. `lethe dev` makes its folder once; then this process runs the servers and a child
//! process, the real binary, the services.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use lethe::dev::{Dev, Options, Run};
use lethe_ambient::{Clock, Entropy};
use lethe_servers::{Durability, Nats, Postgres, Programs};
use lethe_testkit::Proxy;
use lethe_tests::{Api, within};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// Servers, and the services while they run.
pub(crate) struct Stage {
    /// The way into the stores, and the demo tenant's owner.
    pub(crate) run: Run,
    // In the order in which they end: the services, the servers, their folder.
    services: Option<(Child, Lines<BufReader<ChildStdout>>)>,
    /// What the services are told beside the configuration.
    environment: Vec<(String, String)>,
    nats: Option<Nats>,
    nats_port: u16,
    postgres: BTreeMap<&'static str, Postgres>,
    durability: Durability,
    programs: Programs,
    root: tempfile::TempDir,
}

/// A contact in a conversation.
pub(crate) struct Talk {
    pub(crate) contact: String,
    pub(crate) conversation: String,
}

impl Stage {
    /// A new platform with its demo tenant; the services do not run yet.
    pub(crate) async fn begin() -> Self {
        Self::begin_with(Durability::Fast).await
    }

    /// The same, with what a commit means.
    pub(crate) async fn begin_with(durability: Durability) -> Self {
        let root = tempfile::Builder::new().prefix("lethe-fault-").tempdir().expect("a folder");
        let folder = root.path().join("lethe");
        let options = Options {
            folder: folder.clone(),
            port: 0,
            durability,
            clock: Clock::system(),
            overrides: String::new(),
            has_log: false,
        };
        let dev = Box::pin(Dev::start(options, |_| {})).await.expect("the platform starts");
        let run = dev.run.clone();
        Box::pin(dev.stop()).await.expect("and stops in order");

        let programs = Programs::find().expect("the servers");
        let config = fs::read_to_string(folder.join("lethe.toml")).expect("a configuration");
        let line = config.lines().find(|line| line.contains("nats://")).expect("where NATS is");
        let nats_port = port_of(line.trim_end_matches('"'));
        let mut stage = Self {
            run,
            services: None,
            environment: Vec::new(),
            nats: None,
            nats_port,
            postgres: BTreeMap::new(),
            durability,
            programs,
            root,
        };
        stage.start_postgres("postgres").await;
        stage.start_postgres("keystore").await;
        stage.start_bus().await;
        stage
    }

    /// Tells the services of this from the next start on: `MESSAGING__KMS__CACHE_SECONDS`.
    pub(crate) fn tell(&mut self, option: &str, value: impl ToString) {
        self.environment.push((format!("LETHE__{option}"), value.to_string()));
    }

    /// Has the services reach a store (`postgres`, `keystore`, `nats`) through a proxy, from the next start on.
    pub(crate) async fn proxy(&mut self, store: &str) -> Proxy {
        let port = match store {
            "postgres" => port_of(&self.run.admin_url),
            "keystore" => port_of(&self.run.keystore_admin_url),
            _ => self.nats_port,
        };
        let proxy = Proxy::before(port).await;
        let at = proxy.address();
        let (section, services): (_, &[&str]) = match store {
            "postgres" => ("DATABASE", &["identity", "messaging", "search", "retention"]),
            "keystore" => ("KEYSTORE", &["identity", "messaging", "retention"]),
            _ => {
                self.tell("NATS__URL", format!("nats://{at}"));
                return proxy;
            }
        };
        for service in services {
            let option = format!("{}__{section}__URL", service.to_uppercase());
            self.tell(&option, format!("postgres://{at}/{service}"));
        }
        proxy
    }

    /// Where the log is, and the platform's folder.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.root.path().join("lethe")
    }

    /// Starts the instance `postgres` or `keystore` with what its folder has.
    pub(crate) async fn start_postgres(&mut self, name: &'static str) {
        let url = if name == "keystore" { &self.run.keystore_admin_url } else { &self.run.admin_url };
        let password = fs::read_to_string(self.folder().join("secrets").join(name)).expect("a secret");
        let folder = self.folder().join(name);
        let started =
            Postgres::start(&self.programs, &folder, port_of(url), &password, self.durability).await;
        self.postgres.insert(name, started.expect("PostgreSQL starts"));
    }

    /// Kills every process of an instance at once.
    pub(crate) async fn kill_postgres(&mut self, name: &str) {
        self.postgres.remove(name).expect("it runs").kill().await;
    }

    /// Starts NATS with what its folder has.
    pub(crate) async fn start_bus(&mut self) {
        let password = fs::read_to_string(self.folder().join("secrets/nats")).expect("a secret");
        let folder = self.folder().join("nats");
        let started = Nats::start(&self.programs, &folder, self.nats_port, &password).await;
        self.nats = Some(started.expect("NATS starts"));
    }

    /// Kills NATS, and takes everything that it kept.
    pub(crate) async fn wipe_bus(&mut self) {
        self.kill_bus().await;
        fs::remove_dir_all(self.folder().join("nats/store")).expect("a store to clear");
    }

    /// Kills NATS.
    pub(crate) async fn kill_bus(&mut self) {
        self.nats.take().expect("NATS runs").kill().await;
    }

    /// Runs a command of the binary: whether it ended well, and what it said on both outputs.
    pub(crate) async fn command(&self, arguments: &[&str]) -> (bool, String) {
        let config = self.folder().join("lethe.toml");
        let ended = Command::new(env!("CARGO_BIN_EXE_lethe-tested"))
            .arg("--config")
            .arg(config)
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = ended.await.expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Starts the services and answers their URL when they are ready.
    pub(crate) async fn serve(&mut self) -> String {
        let log = fs::File::options().create(true).append(true).open(self.root.path().join("log"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_lethe-tested"))
            .arg("--config")
            .arg(self.folder().join("lethe.toml"))
            .args(["serve", "all", "--http", "127.0.0.1:0", "--print-address"])
            // What the dead held is free again soon.
            .env("LETHE__SEARCH__LEASE_MS", "2000")
            .env("LETHE__RETENTION__ADVANCE_ERASURES__LEASE_MS", "1000")
            // One address stands for many.
            .env("LETHE__GATEWAY__RATES__LOG_IN_ADDRESS__REQUESTS", "1000000")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.expect("a log"))
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let url = lines.next_line().await.expect("its output").unwrap_or_else(|| panic!("{}", self.log()));
        self.services = Some((child, lines));
        let ready = Api::anonymous(&url);
        within(Duration::from_secs(60), "the services are ready", async || {
            ready.get("/readyz").await.status.is_success()
        })
        .await;
        url
    }

    /// The process of the services.
    pub(crate) fn pid(&self) -> u32 {
        let (child, _) = self.services.as_ref().expect("the services run");
        child.id().expect("they have not ended")
    }

    /// The memory of the services' process in MiB.
    pub(crate) fn resident_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a figure");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
    }

    /// Kills the services at once (SIGKILL), and waits until they are gone.
    pub(crate) async fn kill_services(&mut self) {
        let (mut child, _) = self.services.take().expect("the services run");
        child.kill().await.expect("it can be killed");
    }

    /// The owner of the demo tenant, signed in.
    pub(crate) async fn owner(&self, url: &str) -> Api {
        Api::log_in(url, &self.run.tenant, &self.run.email, &self.run.password).await
    }

    /// The superuser's way into a service's database.
    pub(crate) async fn superuser(&self, service: &str) -> PgConnection {
        let url = format!("{}/{service}", self.run.admin_url);
        PgConnection::connect(&url).await.expect("the superuser gets in")
    }

    /// Whether a service said last of itself that it lacks this.
    pub(crate) fn says_missing(&self, what: &str) -> bool {
        let log = fs::read_to_string(self.root.path().join("log")).unwrap_or_default();
        let said = log.lines().filter(|line| line.contains("server::health") && line.contains("ready"));
        let mut last = BTreeMap::new();
        for line in said {
            let service =
                ["identity", "messaging", "search", "retention"].into_iter().find(|name| line.contains(name));
            last.insert(service, line.contains("not ready") && line.contains(what));
        }
        last.values().any(|missing| *missing)
    }

    /// What the services said last.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.root.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

fn port_of(url: &str) -> u16 {
    url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a URL with a port")
}

/// Something that no other test has.
pub(crate) fn nonce() -> String {
    Entropy::system().uuid4().simple().to_string()[..12].to_owned()
}

/// A new contact and a conversation.
pub(crate) async fn talk(api: &Api) -> Talk {
    let nonce = nonce();
    let profile = json!({"name": format!("Person {nonce}"), "email": format!("{nonce}@example.org")});
    let contact = text(&api.create("/v1/contacts", &nonce, profile).await.ok(), "contact_id");
    let opened = json!({"contact_id": contact, "channel": "live_chat"});
    let opened = api.create("/v1/conversations", &format!("{nonce}-talk"), opened).await.ok();
    Talk { contact, conversation: text(&opened, "conversation_id") }
}

impl Talk {
    /// Where its inbound messages are posted.
    pub(crate) fn inbound(&self) -> String {
        format!("/v1/conversations/{}/inbound-messages", self.conversation)
    }
}

/// How many messages a search finds for a word.
pub(crate) async fn found(api: &Api, word: &str) -> usize {
    let answer = api.send(Method::POST, "/v1/search/messages", &[], Some(json!({"query": word}))).await;
    answer.body["hits"].as_array().map_or(0, Vec::len)
}

/// A field that is a text.
pub(crate) fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_else(|| panic!("{field} in {body}")).to_owned()
}
