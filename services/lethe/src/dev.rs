//! `lethe dev`: the embedded default. Private PostgreSQL (one for the services, one for the keystore) and nats-server
//! processes, a local key file, a local directory as the ledger's bucket, the embedded search engine, and a demo
//! tenant, all under one folder. Starting again finds its data; Ctrl-C stops everything in order.

mod folder;
mod home;
mod stores;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use lethe_ambient::{Clock, Entropy};
use lethe_proto::identity::CreateTenantRequest;
use lethe_servers::Durability;
use lethe_service::telemetry::{self, TelemetryGuard};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

pub(crate) use folder::Folder;
use home::Home;
use stores::Stores;

use crate::{
    cli, config, migrate,
    platform::{self, Running},
    serve, tenant,
};

/// The demo tenant's slug.
const TENANT: &str = "demo";
const OWNER: &str = "owner@demo.example";

/// What a running `lethe dev` tells others in `run.json`: the demo, the benchmark, a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// Of the process.
    pub pid: u32,
    /// Of the gateway.
    pub url: String,
    /// The demo tenant's slug.
    pub tenant: String,
    /// Of the demo tenant's owner.
    pub email: String,
    /// Of the demo tenant's owner.
    pub password: String,
    /// The superuser's way into the services' PostgreSQL, without a database.
    pub admin_url: String,
    /// The same of the keystore's instance.
    pub keystore_admin_url: String,
    /// The authority of the gateway's certificate, in PEM, where it is none that the machine trusts.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

impl Run {
    /// A client that trusts the gateway.
    ///
    /// # Errors
    /// When the authority cannot be read.
    pub fn http(&self) -> anyhow::Result<reqwest::Client> {
        serve::http(self.ca.as_deref())
    }
}

/// How a platform of one's own is to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where servers, data, keys and logs are.
    pub folder: PathBuf,
    /// The gateway's port on loopback; 0 takes a free one.
    pub port: u16,
    /// What a commit means; tests may give it up.
    pub durability: Durability,
    /// The services' clock.
    pub clock: Clock,
    /// TOML laid over the written configuration's sections, for tests that want other limits; may be empty.
    pub overrides: String,
    /// Whether what this process says goes to a log in the folder; a process has one set of signals, and tests their own.
    pub has_log: bool,
}

impl Options {
    /// What a person gets: durable, the machine's clock.
    pub fn new(folder: impl Into<PathBuf>, port: u16) -> Self {
        let (durability, clock) = (Durability::Durable, Clock::system());
        Self { folder: folder.into(), port, durability, clock, overrides: String::new(), has_log: false }
    }
}

/// Everything that `lethe dev` runs.
pub struct Dev {
    /// What others need to know of it.
    pub run: Run,
    folder: Folder,
    stores: Stores,
    platform: Running,
    // Last: what is said at the end is logged too.
    _signals: TelemetryGuard,
}

/// Runs it until Ctrl-C or SIGTERM; a second signal ends the process at once.
#[allow(clippy::print_stdout, reason = "what to try is what a person asked for")]
pub(crate) async fn run(options: cli::Dev) -> anyhow::Result<()> {
    let options = Options { has_log: true, ..Options::new(options.folder, options.port) };
    let dev = Dev::start(options, say).await?;
    println!("\n{}", dev.welcome());
    serve::until_signal().await?;
    say("stopping (a second Ctrl-C ends it at once)");
    tokio::select! {
        stopped = dev.stop() => stopped,
        _ = serve::until_signal() => Err(anyhow::anyhow!("stopped at once; the stores end by themselves")),
    }
}

#[allow(clippy::print_stderr, reason = "progress for a person")]
fn say(what: &str) {
    eprintln!("lethe: {what}");
}

fn taken(port: u16) -> String {
    format!(
        "port {port} is in use: stop what uses it, or choose another (`make up PORT=8081`, `lethe dev --port 0`)"
    )
}

impl Dev {
    /// Starts stores and services. `say` hears of each step.
    ///
    /// # Errors
    /// What keeps it from starting, for a person.
    pub async fn start(options: Options, say: fn(&str)) -> anyhow::Result<Self> {
        let Options { folder, port, durability, clock, overrides, has_log } = options;
        let folder = Folder::claim(&folder)?;
        folder.check_room()?;
        folder.check_clock(Clock::system().now())?;
        let entropy = Entropy::system();
        let home = Home::in_folder(&folder, &clock, &entropy)?;
        let fresh = !folder.path("postgres/data/PG_VERSION").exists();
        say(if fresh {
            "making two PostgreSQL instances and a NATS server, this takes some seconds"
        } else {
            "starting PostgreSQL, its keystore instance and NATS"
        });
        let listen = SocketAddr::from(([127, 0, 0, 1], port));
        // Said before the servers are started; whoever takes it meanwhile is noticed when the gateway listens.
        TcpListener::bind(listen).await.with_context(|| taken(port))?;
        let stores = Stores::start(&folder, &home, durability).await?;
        let file = folder.path("lethe.toml");
        home.write_config(&file, &stores, listen, &overrides)?;
        let config = config::load(Some(&file))?;
        let signals = match has_log {
            true => telemetry::init(&config.telemetry, "lethe", Some(folder.begin_log()?))?,
            false => TelemetryGuard::default(),
        };
        say("bringing the databases to the newest schema");
        stores.provision(&config, &home).await?;
        migrate::run(&config).await?;
        say("starting the services");
        let platform = platform::start(config, clock, entropy)
            .await
            .map_err(|error| if port_is_taken(&error) { error.context(taken(port)) } else { error })?;
        let password = home.owner_password()?;
        tenant::ensure(&platform, TENANT, "Demo GmbH", "Ada Owner", OWNER, &password)
            .await
            .context("cannot make the demo tenant")?;
        let address = platform.http_address().context("the gateway does not listen")?;
        let run = Run {
            pid: std::process::id(),
            url: format!("http://{address}"),
            tenant: TENANT.into(),
            email: OWNER.into(),
            password,
            admin_url: stores.main_url(),
            keystore_admin_url: stores.keystore_url(),
            ca: None,
        };
        serve::wait_until_ready(&run.http()?, &run.url, Duration::from_secs(30)).await?;
        folder.write_private("run.json", serde_json::to_string_pretty(&run)?.as_bytes())?;
        folder.note_clock(Clock::system().now())?;
        Ok(Self { run, folder, stores, platform, _signals: signals })
    }

    /// Stops the services, then the stores.
    ///
    /// # Errors
    /// When something did not end in time and was cut.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Self { folder, stores, platform, .. } = self;
        let drained = platform.stop().await;
        folder.note_clock(Clock::system().now())?;
        stores.stop().await;
        folder.remove("run.json");
        drained
    }

    fn welcome(&self) -> String {
        let Run { url, tenant, email, password, .. } = &self.run;
        let (log, config) = (self.folder.path(folder::LOG), self.folder.path("lethe.toml"));
        let (log, config) = (log.display(), config.display());
        format!(
            "Lethe is ready at {url}\n\
             \n  tenant {tenant}   owner {email}   password {password}\n\
             \n  the API, to read: {url}/docs\n\
             \nTry:\n\
             \n  TOKEN=$(curl -s {url}/v1/sessions -H 'content-type: application/json' -d '{{\"tenant\":\"{tenant}\",\"email\":\"{email}\",\"password\":\"{password}\"}}' | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/')\n\
             \n  curl -s {url}/v1/contacts -H \"authorization: Bearer $TOKEN\" -H \"idempotency-key: try-$(date +%s)\" -H 'content-type: application/json' -d '{{\"name\":\"Maud Ellingham\",\"email\":\"maud@example.org\"}}'\n\
             \n  curl -s {url}/v1/contacts/look-up -H \"authorization: Bearer $TOKEN\" -H 'content-type: application/json' -d '{{\"email\":\"maud@example.org\"}}'\n\
             \nThe log is {log}. The operator's commands (`lethe status`) want to know of the configuration: export LETHE_CONFIG={config}\n\
             \n`make demo` in another terminal tells the whole story. Ctrl-C stops everything; `make up` finds its data again.\n"
        )
    }
}

fn port_is_taken(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::AddrInUse)
}

/// A new tenant of the platform whose configuration `file` is, as `lethe tenant create` makes it: its id and the owner's
/// one-time password.
///
/// # Errors
/// When the slug is taken or a store is away.
pub async fn create_tenant(
    file: &std::path::Path,
    slug: &str,
    owner_email: &str,
) -> anyhow::Result<(String, String)> {
    let request = CreateTenantRequest {
        slug: slug.into(),
        name: slug.into(),
        plan: "demo".into(),
        region: "eu".into(),
        owner_name: "First Owner".into(),
        owner_email: owner_email.into(),
        ..CreateTenantRequest::default()
    };
    let made = tenant::by_operator(config::load(Some(file))?, request).await?;
    Ok((made.tenant.unwrap_or_default().tenant_id, made.one_time_password))
}
