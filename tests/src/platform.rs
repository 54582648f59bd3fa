//! The platform that all tests of the process share, on threads of its own: a test's runtime ends with the test.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{OnceLock, mpsc},
    thread,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lethe::dev::{Dev, Options, Run};
use lethe_access::ServiceKey;
use lethe_ambient::{Clock, Entropy};
use lethe_servers::{Durability, free_port};

use lethe_service::TelemetryConfig;

use crate::{Api, Collector};

/// A running platform.
pub struct Platform {
    /// Its URL, its superusers' ways into the stores.
    pub run: Run,
    /// The services' clock, which can be moved forward.
    pub clock: Clock,
    /// Where all its files are.
    pub folder: PathBuf,
    /// Where each service listens for gRPC.
    pub grpc: BTreeMap<&'static str, SocketAddr>,
    /// Where it sends its traces, metrics and logs.
    pub collector: Collector,
    entropy: Entropy,
}

/// A tenant of a test's own.
pub struct Tenant {
    /// Its slug.
    pub slug: String,
    /// `ten_…`.
    pub id: String,
    /// The owner, signed in.
    pub owner: Api,
}

/// The platform of this process, started at the first call.
///
/// # Panics
/// When it does not start: no test can go on then.
pub fn platform() -> &'static Platform {
    static PLATFORM: OnceLock<Platform> = OnceLock::new();
    PLATFORM.get_or_init(|| {
        let folder = fresh_folder("lethe-tests");
        let clock = Clock::shifted();
        let free = || SocketAddr::from(([127, 0, 0, 1], free_port().expect("a free port")));
        let grpc: BTreeMap<_, _> =
            ["identity", "messaging", "search", "retention"].map(|name| (name, free())).into();
        let options = Options {
            folder: folder.clone(),
            port: 0,
            durability: Durability::Fast,
            clock: clock.clone(),
            overrides: overrides(&grpc),
            has_log: false,
        };
        let (started, run) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let (collector, address) = Collector::start().await;
                let signals = TelemetryConfig { endpoint: format!("http://{address}"), ..telemetry() };
                let _signals =
                    lethe_service::telemetry::init(&signals, "lethe", None).expect("signals can be sent");
                let dev = Dev::start(options, |_| {}).await.expect("the platform starts");
                started.send((dev.run.clone(), collector)).expect("somebody waits for it");
                // It runs until the process ends; its servers notice that by themselves.
                std::future::pending::<()>().await;
            });
        });
        let (run, collector) = run.recv().expect("the platform starts");
        Platform { run, clock, folder, grpc, collector, entropy: Entropy::system() }
    })
}

/// Every service listens, and one address may sign in as often as all tests together do.
fn overrides(grpc: &BTreeMap<&'static str, SocketAddr>) -> String {
    let listen =
        grpc.iter().fold("[grpc]\n".to_owned(), |text, (name, at)| text + &format!("{name} = \"{at}\"\n"));
    let often = ["log_in_address", "log_in_member", "address"];
    let often =
        often.map(|rate| format!("[gateway.rates.{rate}]\nrequests = 1000000\nper_s = 60\n")).concat();
    // Webhooks reach one address that nothing but a test's receiver has, and come again soon.
    let webhooks = "[messaging.webhooks]\nallowed_networks = [\"127.0.0.2/32\"]\nbackoff_s = [1, 1, 1, 1, 1]\ntimeout_ms = 2_000\npoll_ms = 100\n";
    // Where everything is unoptimized and runs at once on two cores, a new connection's log-in may take three seconds.
    let stores = ["identity.database", "messaging.database", "retention.database", "search.database"];
    let keystores = ["identity.keystore", "messaging.keystore", "retention.keystore"];
    let patient = |store: &&str| format!("[{store}]\nacquire_timeout_ms = 10_000\n");
    let patient: String = stores.iter().chain(&keystores).map(patient).collect();
    format!("{listen}{often}[identity.log_in]\nper_address = 1000000\n{webhooks}{patient}")
}

/// Signals as they are by default, sent often.
fn telemetry() -> TelemetryConfig {
    #[derive(serde::Deserialize)]
    struct Section {
        telemetry: TelemetryConfig,
    }
    let often = "[telemetry]\nmetrics_interval_ms = 500\nstderr_filter = \"error\"";
    let defaults = [lethe_service::telemetry::DEFAULTS, often];
    lethe_service::load::<Section>(&defaults, None, std::iter::empty())
        .expect("the defaults are readable")
        .telemetry
}

/// A folder of this process in the temporary one `of`; those that killed or finished processes left behind are cleared away.
pub(crate) fn fresh_folder(of: &str) -> PathBuf {
    let root = std::env::temp_dir().join(of);
    fs::create_dir_all(&root).expect("a temporary folder");
    for entry in fs::read_dir(&root).expect("a readable folder").flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if !Path::new("/proc").join(&pid).exists() {
            let _gone = fs::remove_dir_all(entry.path());
        }
    }
    root.join(std::process::id().to_string())
}

impl Platform {
    /// Something that no other test has.
    pub fn nonce(&self) -> String {
        self.entropy.uuid4().simple().to_string()[..12].to_owned()
    }

    /// Its configuration file.
    pub fn file(&self) -> PathBuf {
        self.folder.join("lethe.toml")
    }

    /// The key that a service of this platform signs with.
    ///
    /// # Panics
    /// When the platform has none of that name.
    pub fn service_key(&self, service: &str) -> ServiceKey {
        let seed = fs::read_to_string(self.folder.join(format!("secrets/{service}-seed"))).expect("a seed");
        let seed = URL_SAFE_NO_PAD.decode(seed.trim()).expect("base64url").try_into().expect("32 bytes");
        ServiceKey::from_seed(&seed).expect("a seed")
    }

    /// A tenant of the test's own, with its owner signed in.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn tenant(&self) -> Tenant {
        let slug = format!("t-{}", self.nonce());
        let email = format!("owner@{slug}.example");
        let made = lethe::dev::create_tenant(&self.file(), &slug, &email).await;
        let (id, one_time_password) = made.expect("a tenant can be made");
        let owner = Api::log_in_first(&self.run.url, &slug, &email, &one_time_password).await;
        Tenant { slug, id, owner }
    }
}
