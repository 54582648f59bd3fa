//! The platform as separate processes: each service twice, every wire TLS. It is started by the first test that wants it,
//! its parts can be paused, and it ends with the process of the tests.

mod process;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

use lethe::{
    certificates,
    dev::{Dev, Options, Run},
};
use lethe_ambient::{Clock, Entropy};
use lethe_servers::{Certificate, Durability, Nats, Postgres, Programs, free_port};

use crate::{Api, Tenant, platform::fresh_folder, within};
pub use process::{Paused, Process};

/// The services, each of them [`REPLICAS`] times.
const SERVICES: [&str; 5] = ["identity", "messaging", "search", "retention", "gateway"];
/// How many processes each service has.
const REPLICAS: usize = 2;
/// So that a test need not wait long for the end of a lease.
const LEASE_MS: u32 = 3_000;

/// A platform of many processes.
pub struct Apart {
    /// Its first gateway's URL, its superusers' ways into the stores.
    pub run: Run,
    /// Where all its files are; `lethe.toml` says how its stores are reached.
    pub folder: PathBuf,
    /// The processes of each service.
    pub processes: BTreeMap<&'static str, Vec<Process>>,
    /// The bus.
    pub nats: Nats,
    /// Every port that something listens on, and what does.
    pub ports: Vec<(String, u16)>,
    _postgres: [Postgres; 2],
}

/// The platform of separate processes of `program`, started at the first call.
///
/// # Panics
/// When it does not start: no test can go on then.
pub fn apart(program: &Path) -> &'static Apart {
    static APART: OnceLock<Apart> = OnceLock::new();
    APART.get_or_init(|| {
        let (started, apart) = mpsc::channel();
        let program = program.to_owned();
        // On threads of its own: a test's runtime ends with the test.
        thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                started.send(Box::pin(Apart::start(&program)).await).expect("somebody waits for it");
                // Its processes end with this one, by themselves.
                std::future::pending::<()>().await;
            });
        });
        apart.recv().expect("the platform starts")
    })
}

impl Apart {
    async fn start(program: &Path) -> Self {
        let folder = fresh_folder("lethe-tests-apart");
        let (mut run, folder) = provisioned(folder).await;
        let tls = folder.join("tls");
        certificates::make(&tls, &["localhost", "127.0.0.1"], &Clock::system()).expect("certificates");
        run.ca = Some(tls.join("ca.pem"));
        let host = Certificate { certificate: tls.join("host.pem"), key: tls.join("host-key.pem") };

        let nats_port = over_tls(&folder.join("lethe.toml"), &tls.join("ca.pem"));
        let programs = Programs::find().expect("the servers");
        let secret = |name: &str| fs::read_to_string(folder.join("secrets").join(name)).expect("a secret");
        let postgres = async |name: &str, url: &str| {
            let (folder, password) = (folder.join(name), secret(name));
            Postgres::start_over_tls(&programs, &folder, port_of(url), &password, Durability::Fast, &host)
                .await
                .expect("PostgreSQL starts")
        };
        let (nats_folder, nats_password) = (folder.join("nats"), secret("nats"));
        let (main, keystore, nats) = tokio::join!(
            postgres("postgres", &run.admin_url),
            postgres("keystore", &run.keystore_admin_url),
            Nats::start_over_tls(&programs, &nats_folder, nats_port, &nats_password, &host)
        );
        let nats = nats.expect("NATS starts");
        let mut ports = vec![
            ("postgres".to_owned(), main.port()),
            ("keystore".to_owned(), keystore.port()),
            ("nats".to_owned(), nats_port),
        ];

        let grpc: BTreeMap<&str, [u16; REPLICAS]> =
            SERVICES.map(|name| (name, std::array::from_fn(|_| free_port().expect("a port")))).into();
        let mut processes = BTreeMap::new();
        for service in SERVICES {
            let replicas = (0..REPLICAS).map(|number| {
                let environment = environment(service, number, &grpc, &folder);
                let (port, folder) = (grpc[service][number], folder.as_path());
                async move { Process::start(program, service, number, port, folder, &environment).await }
            });
            let replicas: Vec<Process> = futures::future::join_all(replicas).await;
            ports.extend(replicas.iter().map(|process| (process.name.clone(), process.port)));
            processes.insert(service, replicas);
        }
        run.url = format!("https://127.0.0.1:{}", grpc["gateway"][0]);
        let apart = Self { run, folder, processes, nats, ports, _postgres: [main, keystore] };
        apart.ready().await;
        apart
    }

    /// Waits until each gateway is ready and a search is answered.
    async fn ready(&self) {
        let http = self.run.http().expect("a client");
        for number in 0..REPLICAS {
            let url = format!("{}/readyz", self.url(number));
            within(Duration::from_secs(60), "a gateway is ready", async || {
                http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success())
            })
            .await;
        }
        let Run { url, tenant, email, password, .. } = &self.run;
        let owner = Api::log_in_by(http, url, tenant, email, password).await;
        within(Duration::from_secs(60), "search is ready", async || {
            owner.post("/v1/search/messages", serde_json::json!({"query": "ready"})).await.status.is_success()
        })
        .await;
    }

    /// The URL of a gateway.
    pub fn url(&self, number: usize) -> String {
        format!("https://127.0.0.1:{}", self.processes["gateway"][number].port)
    }

    /// A tenant of the test's own, with its owner signed in at the first gateway.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn tenant(&self) -> Tenant {
        let slug = format!("t-{}", &Entropy::system().uuid4().simple().to_string()[..12]);
        let email = format!("owner@{slug}.example");
        let made = lethe::dev::create_tenant(&self.folder.join("lethe.toml"), &slug, &email).await;
        let (id, one_time_password) = made.expect("a tenant can be made");
        let http = self.run.http().expect("a client");
        let owner = Api::log_in_first_by(http, &self.run.url, &slug, &email, &one_time_password).await;
        Tenant { slug, id, owner }
    }
}

/// A folder with databases, secrets and the demo tenant, as `lethe dev` makes them; its servers do not run any more.
async fn provisioned(folder: PathBuf) -> (Run, PathBuf) {
    let options = Options {
        folder: folder.clone(),
        port: 0,
        durability: Durability::Fast,
        clock: Clock::system(),
        overrides: String::new(),
        has_log: false,
    };
    let dev = Dev::start(options, |_| {}).await.expect("the platform starts once");
    let run = dev.run.clone();
    dev.stop().await.expect("and stops in order");
    (run, folder.canonicalize().expect("the folder"))
}

/// Has the configuration reach the stores over TLS alone; answers the port of NATS.
fn over_tls(file: &Path, ca: &Path) -> u16 {
    let text = fs::read_to_string(file).expect("a configuration");
    let mut nats = 0;
    let lines = text.lines().map(|line| {
        let Some(url) = line.strip_prefix("url = \"").and_then(|rest| rest.strip_suffix('"')) else {
            return line.to_owned();
        };
        if url.starts_with("postgres://") {
            return format!("url = \"{url}?sslmode=verify-full&sslrootcert={}\"", ca.display());
        }
        nats = port_of(url);
        format!("url = \"tls://127.0.0.1:{nats}\"\nca = {ca:?}")
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    fs::write(file, text).expect("a configuration");
    nats
}

/// What one process has of its own beside `lethe.toml`.
fn environment(
    service: &str,
    number: usize,
    grpc: &BTreeMap<&str, [u16; REPLICAS]>,
    folder: &Path,
) -> Vec<(String, String)> {
    let tls = folder.join("tls");
    let path = |file: String| tls.join(file).display().to_string();
    let mut options = vec![
        ("TLS__CA".to_owned(), path("ca.pem".to_owned())),
        ("TLS__CERTIFICATE".to_owned(), path(format!("{service}.pem"))),
        ("TLS__KEY".to_owned(), path(format!("{service}-key.pem"))),
        ("TELEMETRY__STDERR_FILTER".to_owned(), "warn".to_owned()),
    ];
    for (other, ports) in grpc.iter().filter(|(other, _)| ![service, "gateway"].contains(*other)) {
        let urls = ports.map(|port| format!("https://127.0.0.1:{port}")).join(",");
        options.push((format!("PEERS__{}", other.to_uppercase()), urls));
    }
    let at = format!("127.0.0.1:{}", grpc[service][number]);
    if service == "gateway" {
        options.push(("GATEWAY__LISTEN".to_owned(), at));
        options.push(("GATEWAY__TLS__CERTIFICATE".to_owned(), path("host.pem".to_owned())));
        options.push(("GATEWAY__TLS__KEY".to_owned(), path("host-key.pem".to_owned())));
    } else {
        options.push((format!("GRPC__{}", service.to_uppercase()), at));
    }
    if ["search", "retention"].contains(&service) {
        let section = if service == "search" { "SEARCH" } else { "RETENTION__ADVANCE_ERASURES" };
        options.push((format!("{section}__LEASE_MS"), LEASE_MS.to_string()));
    }
    if service == "search" && number > 0 {
        let own = folder.join(format!("index-{number}")).display().to_string();
        options.push(("SEARCH__INDEX_DIR".to_owned(), own));
    }
    options.into_iter().map(|(name, value)| (format!("LETHE__{name}"), value)).collect()
}

fn port_of(url: &str) -> u16 {
    url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a URL with a port")
}
