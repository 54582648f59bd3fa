//! The command line. Each command is a module; this one only names them, reads the configuration and turns an error
//! into one line a person can act on.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

use crate::{
    Config, certificates, config, dead_letters, demo, dev, erasures, harden, index, migrate, operator, serve,
    status, tenant, verify,
};

/// Lethe: the privacy-first backend of a customer-messaging product.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// A TOML file that is laid over the compiled-in defaults; `LETHE__SECTION__KEY` in the environment is laid over it.
    #[arg(long, global = true, value_name = "FILE", env = "LETHE_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs services in this process until Ctrl-C.
    Serve(Serve),
    /// Brings the databases of all services to the newest schema.
    Migrate,
    /// Looks at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Tenants, from the operator's side.
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// An operator's access to a tenant's data, by a grant of the tenant's.
    #[command(subcommand)]
    Operator(OperatorCommand),
    /// Says in one screen what is well and what is not; exit code 1 when something is not.
    Status(Status),
    /// Events that a consumer gave up on.
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Erasures of all tenants that are under way.
    #[command(subcommand)]
    Erasures(ErasuresCommand),
    /// The search index.
    #[command(subcommand)]
    Index(IndexCommand),
    /// Runs the whole platform with servers of its own in a folder: for trying, developing and testing.
    Dev(Dev),
    /// Tells the product's story on a running platform: two tenants' chats, one person erased, the proof.
    Demo(Demo),
    /// Checks an erasure certificate offline and says in plain words what it attests.
    Verify(Verify),
    /// Certificates for services in processes of their own, by an authority in a folder: for trying and developing.
    Certificates(Certificates),
    /// Prints the OpenAPI document of the gateway.
    Openapi,
    /// Waits until a platform answers that it is ready.
    WaitFor(Probe),
    /// Asks a platform once whether it lives: exit code 0 or 1.
    Healthcheck(Probe),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// identity, messaging, search, retention, gateway, or all.
    #[arg(default_value = "all")]
    pub(crate) services: Vec<String>,
    /// The gateway's address, instead of the configured one; port 0 takes a free one.
    #[arg(long)]
    pub(crate) http: Option<SocketAddr>,
    /// Prints the gateway's URL on standard output once it listens.
    #[arg(long)]
    pub(crate) print_address: bool,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Says whether the configuration can be used, and where not.
    Check,
    /// Prints the configuration as it is after all layers; secrets are not shown.
    Print,
}

#[derive(Debug, Subcommand)]
enum TenantCommand {
    /// A new tenant with its first owner; prints the owner's one-time password.
    Create(TenantCreate),
}

#[derive(Debug, Subcommand)]
enum OperatorCommand {
    /// Asks a tenant for some hours of access, for a reason; the tenant grants it or not.
    Request(OperatorRequest),
    /// Makes a session of what the tenant granted, once; prints its token.
    Open(OperatorOpen),
}

#[derive(Debug, Args)]
pub(crate) struct OperatorRequest {
    /// The tenant's slug.
    #[arg(long)]
    pub(crate) tenant: String,
    /// Who asks: 1 to 64 of [a-z0-9._-]; the tenant sees it.
    #[arg(long)]
    pub(crate) operator: String,
    /// support, incident, maintenance or legal.
    #[arg(long)]
    pub(crate) reason: String,
    /// The ticket that it is for.
    #[arg(long)]
    pub(crate) ticket: String,
    /// 1 to 72.
    #[arg(long, default_value_t = 4)]
    pub(crate) hours: u32,
    /// Some of read_inbox, edit, user_data, read_erasures and read_audit, with commas; the reading ones by default.
    #[arg(long, value_delimiter = ',')]
    pub(crate) permissions: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct OperatorOpen {
    /// The tenant's slug.
    #[arg(long)]
    pub(crate) tenant: String,
    /// The access's id, as `lethe operator request` printed it.
    #[arg(long)]
    pub(crate) access: String,
}

#[derive(Debug, Args)]
pub(crate) struct TenantCreate {
    /// 3 to 40 of [a-z0-9-]; log-in names it.
    #[arg(long)]
    pub(crate) slug: String,
    /// The business's name.
    #[arg(long)]
    pub(crate) name: String,
    /// The plan.
    #[arg(long, default_value = "standard")]
    pub(crate) plan: String,
    /// Where its data are.
    #[arg(long, default_value = "eu")]
    pub(crate) region: String,
    /// The first owner's name.
    #[arg(long)]
    pub(crate) owner_name: String,
    /// The first owner's e-mail address.
    #[arg(long)]
    pub(crate) owner_email: String,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The gateway's URL, when it is not where the configuration says.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// PEM of the authority that signed the gateway's certificate, when the system does not trust it.
    #[arg(long)]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum DeadLettersCommand {
    /// A line for each: service, event, kind, why it was given up.
    List,
    /// Puts them on the bus once more.
    Replay(Replay),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Replay {
    /// The event's id, as the list shows it.
    pub(crate) event: Option<String>,
    /// All that are there now.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Subcommand)]
enum ErasuresCommand {
    /// A line for each, and why it waits.
    List,
    /// Has the step that waits tried again at once.
    Hasten(Hasten),
}

#[derive(Debug, Args)]
pub(crate) struct Hasten {
    /// The erasure's id, as the list shows it.
    pub(crate) erasure: String,
}

#[derive(Debug, Subcommand)]
enum IndexCommand {
    /// Drops what is indexed of a tenant and indexes it again from messaging; its searches find the rest as it comes.
    Rebuild(Rebuild),
}

#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    /// The tenant's id.
    pub(crate) tenant: String,
    /// Seconds to wait for it; it goes on without anybody who waits.
    #[arg(long, default_value_t = 60)]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Where servers, data, keys and logs are.
    #[arg(long, default_value = ".lethe")]
    pub(crate) folder: PathBuf,
    /// The gateway's port on loopback; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Conversations to load, a JSON object a line: {"id", "turns": [{"from": "contact"|"agent", "text"}]}.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// The folder of the running `lethe dev`; without one running there, the demo starts one of its own.
    #[arg(long, default_value = ".lethe")]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Certificates {
    /// Where the authority is, or is made, and where the certificates go.
    #[arg(long, default_value = ".lethe/tls")]
    pub(crate) folder: PathBuf,
    /// Names and addresses of the gateway towards the outside, and of stores.
    #[arg(default_values_t = ["localhost".to_owned(), "127.0.0.1".to_owned()])]
    pub(crate) hosts: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The certificate, as GET /v1/erasures/{id}/certificate answers it.
    pub(crate) file: PathBuf,
    /// The published keys, as /.well-known/lethe-keys.json answers them.
    #[arg(long, value_name = "FILE", default_value = "lethe-keys.json")]
    pub(crate) keys: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// The platform's URL.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// Seconds to wait.
    #[arg(long, default_value_t = 60)]
    pub(crate) timeout: u64,
    /// The authority of the gateway's certificate, in PEM; those that the machine trusts without it.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

/// Runs the command. An error becomes one line on standard error and exit code 1.
pub fn run(cli: Cli) -> ExitCode {
    let hardened = harden::process();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error)),
    };
    let ended = hardened.and_then(|()| runtime.block_on(carry_out(cli)));
    // A DNS look-up or a file read that hangs does not keep the process alive.
    runtime.shutdown_background();
    match ended {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

#[allow(clippy::print_stderr, reason = "the command line speaks to a person")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("lethe: {error:#}");
    ExitCode::FAILURE
}

#[allow(clippy::print_stdout, reason = "what was asked for goes to standard output")]
async fn carry_out(cli: Cli) -> anyhow::Result<ExitCode> {
    let file = cli.config.as_deref();
    match cli.command {
        Command::Serve(serve) => serve::run(load(file)?, serve).await?,
        Command::Migrate => migrate::run(&load(file)?).await?,
        Command::Config(ConfigCommand::Check) => {
            load(file)?.check()?;
            println!("the configuration can be used");
        }
        Command::Config(ConfigCommand::Print) => print!("{}", config::print(file)?),
        Command::Tenant(TenantCommand::Create(create)) => tenant::create(load(file)?, create).await?,
        Command::Operator(OperatorCommand::Request(asked)) => operator::request(load(file)?, asked).await?,
        Command::Operator(OperatorCommand::Open(which)) => operator::open(load(file)?, which).await?,
        Command::Status(options) => return status::run(load(file)?, options).await,
        Command::DeadLetters(DeadLettersCommand::List) => dead_letters::list(load(file)?).await?,
        Command::DeadLetters(DeadLettersCommand::Replay(which)) => {
            dead_letters::replay(load(file)?, which).await?;
        }
        Command::Erasures(ErasuresCommand::List) => erasures::list(load(file)?).await?,
        Command::Erasures(ErasuresCommand::Hasten(which)) => erasures::hasten(load(file)?, which).await?,
        Command::Index(IndexCommand::Rebuild(which)) => index::rebuild(load(file)?, which).await?,
        Command::Dev(options) => dev::run(options).await?,
        Command::Demo(options) => return demo::run(options).await,
        Command::Verify(options) => return verify::run(&options),
        Command::Certificates(options) => certificates::run(&options)?,
        Command::Openapi => println!("{}", lethe_gateway::openapi_json()),
        Command::WaitFor(probe) => serve::wait_for(&probe).await?,
        Command::Healthcheck(probe) => serve::healthcheck(&probe).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn load(file: Option<&Path>) -> anyhow::Result<Config> {
    Ok(config::load(file)?)
}
