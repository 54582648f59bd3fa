//! Any subset of the services in this process: the one assembly, for `serve`, `dev`, the commands and the tests.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use lethe_access::{Access, RemoteIdentity, Revocations};
use lethe_ambient::{Clock, Entropy, Tasks};
use lethe_gateway::Listening;
use lethe_service::{
    BuildError, CallContext, Env, Incoming, Nats, Parts, PeerChannel, Peers, Pipe, Replicas, Server,
    peers::Transport, tls::Mutual,
};
use tokio::net::TcpListener;

use crate::Config;

/// The services, in the order in which they are built and, backwards, stopped.
pub const SERVICES: [&str; 5] = [
    lethe_identity::NAME,
    lethe_messaging::NAME,
    lethe_search::NAME,
    lethe_retention::NAME,
    lethe_gateway::NAME,
];
/// The command line's name towards the services.
pub(crate) const OPERATOR: &str = "operator";

/// How long the process's own tasks may take to end after the last call has.
const TASKS_END_WITHIN: Duration = Duration::from_secs(15);
const OPERATOR_TIMEOUT: Duration = Duration::from_secs(20);

/// Services that run in this process.
pub struct Running {
    /// In the order in which they were built.
    servers: Vec<Server>,
    gateway: Option<Listening>,
    operator: Peers,
    entropy: Entropy,
    tasks: Tasks,
}

/// Starts all services.
///
/// # Errors
/// Whatever keeps one of them from starting.
pub async fn start(config: Config, clock: Clock, entropy: Entropy) -> anyhow::Result<Running> {
    start_some(config, &SERVICES, clock, entropy).await
}

/// Starts the services `names`; the others are where `peers` of the configuration says.
///
/// # Errors
/// Whatever keeps one of them from starting.
pub async fn start_some(
    config: Config,
    names: &[&str],
    clock: Clock,
    entropy: Entropy,
) -> anyhow::Result<Running> {
    config.check()?;
    // Bound before anything is built, so that a port in use is said at once.
    let mut listener = match names.contains(&lethe_gateway::NAME) {
        true => Some(TcpListener::bind(config.gateway.listen).await.context("the gateway cannot listen")?),
        false => None,
    };
    let tasks = Tasks::new();
    let keys = config.public_keys()?;
    let tls = match &config.tls {
        // A command that neither listens nor calls needs no certificate.
        Some(tls) if !(config.grpc.is_empty() && config.peers.is_empty()) => {
            Some(Mutual::load(tls, names, &tasks).context("[tls]")?)
        }
        _ => None,
    };
    let (transports, mut incoming) = transports(&config, names, tls.as_ref(), &tasks)?;
    let access = |name: &'static str, revocations: Revocations| -> anyhow::Result<Access> {
        Ok(Access::new(name, config.key(name)?, keys.clone(), revocations, clock.clone()))
    };
    let operator = Peers::new(access(OPERATOR, Revocations::new())?, transports.clone());
    // One memory of what was revoked serves the process; identity has its own, fed from its database.
    let revocations = Revocations::new();
    if let Some(name) =
        SERVICES.into_iter().find(|name| names.contains(name) && *name != lethe_identity::NAME)
    {
        let access = access(name, revocations.clone())?;
        let peers = Peers::new(access.clone(), transports.clone());
        let context =
            CallContext { principal: None, deadline: None, request_id: "revocations".into(), trace: None };
        let identity = RemoteIdentity::new(peers.client(lethe_identity::NAME, &context), access);
        tasks.spawn("revocations", identity.feed(tasks.clone()));
    }
    let mut running = Running {
        servers: Vec::new(),
        gateway: None,
        operator,
        entropy: entropy.clone(),
        tasks: tasks.clone(),
    };
    for name in SERVICES.into_iter().filter(|name| names.contains(name)) {
        let own = if name == lethe_identity::NAME { Revocations::new() } else { revocations.clone() };
        let access = access(name, own)?;
        let env = Env {
            clock: clock.clone(),
            entropy: entropy.clone(),
            tasks: tasks.clone(),
            peers: Peers::new(access.clone(), transports.clone()),
            nats: Nats::connect(name, &config.nats).await?,
            access,
        };
        let mut parts =
            build(name, &config, env.clone()).await.with_context(|| format!("{name} cannot start"))?;
        let http = parts.http.take();
        let server = Server::start(parts, &env, &config.server, incoming.remove(name))?;
        if let Some(address) = config.grpc.get(name) {
            server
                .listen(*address, tls.as_ref())
                .await
                .with_context(|| format!("{name} cannot listen on {address}"))?;
        }
        running.servers.push(server);
        if let Some(router) = http
            && let Some(listener) = listener.take()
        {
            running.gateway = Some(lethe_gateway::serve(listener, router, &config.gateway, &tasks)?);
        }
    }
    Ok(running)
}

async fn build(name: &str, config: &Config, env: Env) -> Result<Parts, BuildError> {
    match name {
        lethe_identity::NAME => lethe_identity::build(config.identity.clone(), env).await,
        lethe_messaging::NAME => lethe_messaging::build(config.messaging.clone(), env).await,
        lethe_search::NAME => lethe_search::build(config.search.clone(), env).await,
        lethe_retention::NAME => lethe_retention::build(config.retention.clone(), env).await,
        _ => lethe_gateway::build(config.gateway.clone(), env).await,
    }
}

type Transports = Vec<(String, Transport)>;

/// How each service is reached: in this process, or where the configuration says.
fn transports(
    config: &Config,
    names: &[&str],
    tls: Option<&Mutual>,
    tasks: &Tasks,
) -> anyhow::Result<(Transports, BTreeMap<&'static str, Incoming>)> {
    let (mut transports, mut incoming) = (Vec::new(), BTreeMap::new());
    for name in SERVICES {
        if names.contains(&name) {
            let (pipe, end) = Pipe::new();
            transports.push((name.to_owned(), Transport::Pipe(pipe)));
            incoming.insert(name, end);
        } else if let Some(urls) = config.peers.get(name) {
            let replicas =
                Replicas::connect(name, urls, tls, tasks).with_context(|| format!("peers.{name}"))?;
            transports.push((name.to_owned(), Transport::Network(replicas)));
        }
    }
    Ok((transports, incoming))
}

impl Running {
    /// Where the gateway listens.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.gateway.as_ref().map(Listening::address)
    }

    /// A channel to a service, as the operator.
    pub(crate) fn operator(&self, service: &str) -> PeerChannel {
        self.operator.client(service, &CallContext::for_job("operator", &self.entropy, OPERATOR_TIMEOUT))
    }

    /// Stops in order: no new requests, the running ones finish, then the jobs, then what is buffered is flushed.
    ///
    /// # Errors
    /// When something did not end in time and was cut.
    pub async fn stop(self) -> anyhow::Result<()> {
        let mut all_ended = true;
        if let Some(gateway) = self.gateway {
            all_ended &= gateway.drain().await;
        }
        // The gateway first, identity last: who is still asked goes after who asks.
        for server in self.servers.iter().rev() {
            all_ended &= server.drain().await;
        }
        all_ended &= self.tasks.shut_down(TASKS_END_WITHIN).await;
        ensure!(all_ended, "calls or tasks were cut: they did not end in time");
        Ok(())
    }
}
