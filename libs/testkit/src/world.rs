//! A small world for a service under test: a fixed clock, seeded entropy, keys, a nats-server, and pipes between
//! the services that are served in it.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use lethe_access::{PrincipalToken, Role};
use lethe_ambient::{Clock, Entropy, Tasks};
use lethe_ids::{MemberId, SessionId, TenantId};
use lethe_service::{
    CallContext, Env, Incoming, Parts, PeerChannel, Peers, Pipe, Server, ServerConfig, peers::Transport,
};
use time::macros::datetime;

use crate::{TestAccess, TestNats, access, nats};

/// Services under test and what they are handed.
#[derive(Debug)]
pub struct World {
    /// Stands at noon of 2026-11-22 until a test moves it.
    pub clock: Clock,
    /// The same ids in every run.
    pub entropy: Entropy,
    /// Of all services here.
    pub tasks: Tasks,
    /// Keys and principals.
    pub access: TestAccess,
    /// The bus.
    pub nats: TestNats,
    pipes: BTreeMap<&'static str, Pipe>,
    incoming: Mutex<BTreeMap<&'static str, Incoming>>,
}

impl World {
    /// A world with a clock that stands still. `names` are the services that are served here or that call.
    pub async fn new(names: &[&'static str]) -> Self {
        Self::with_clock(names, Clock::fixed(datetime!(2026-11-22 12:00 UTC))).await
    }

    /// A world with another clock.
    pub async fn with_clock(names: &[&'static str], clock: Clock) -> Self {
        let access = access(names, &clock);
        let (mut pipes, mut incoming) = (BTreeMap::new(), BTreeMap::new());
        for name in access.names() {
            let (pipe, end) = Pipe::new();
            pipes.insert(name, pipe);
            incoming.insert(name, end);
        }
        Self {
            clock,
            entropy: Entropy::seeded(1),
            tasks: Tasks::new(),
            access,
            nats: nats().await,
            pipes,
            incoming: Mutex::new(incoming),
        }
    }

    /// The environment of the service `name`. Its peers are the others: a service that can reach itself keeps itself alive, and its
    /// connections beyond the test.
    pub async fn env(&self, name: &'static str) -> Env {
        Env {
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            tasks: self.tasks.clone(),
            peers: self.peers_of(name, |peer| peer != name),
            nats: self.nats.connect(name).await,
            access: self.access.of(name),
        }
    }

    /// The peers of the service `name`: all of this world.
    pub fn peers(&self, name: &str) -> Peers {
        self.peers_of(name, |_| true)
    }

    fn peers_of(&self, name: &str, are: impl Fn(&str) -> bool) -> Peers {
        let pipes = self.pipes.iter().filter(|(peer, _)| are(peer));
        let transports = pipes.map(|(peer, pipe)| ((*peer).to_owned(), Transport::Pipe(pipe.clone())));
        Peers::new(self.access.of(name), transports)
    }

    /// Serves a service, and runs its jobs, until [`World::stop`].
    pub fn serve(&self, parts: Parts, env: &Env) -> Server {
        self.serve_with(parts, env, &Self::server_config())
    }

    /// Serves a service under other limits.
    pub fn serve_with(&self, parts: Parts, env: &Env, config: &ServerConfig) -> Server {
        let name = parts.name;
        let incoming = self.incoming.lock().expect("no test panics in here").remove(name);
        let incoming = incoming.unwrap_or_else(|| panic!("{name} is served already, or not of this world"));
        Server::start(parts, env, config, Some(incoming)).expect("the service is served")
    }

    /// The limits of [`World::serve`].
    pub fn server_config() -> ServerConfig {
        ServerConfig {
            max_concurrent_calls: 256,
            default_timeout_ms: 20_000,
            max_timeout_ms: 60_000,
            probe_interval_ms: 100,
            drain_timeout_ms: 10_000,
        }
    }

    /// A channel by which the service `from` calls the service `to` for `principal`, if any.
    pub fn client(&self, from: &str, to: &str, principal: Option<PrincipalToken>) -> PeerChannel {
        self.peers(from).client(to, &self.context(principal))
    }

    /// The context of a call that begins in the test.
    pub fn context(&self, principal: Option<PrincipalToken>) -> CallContext {
        let mut context = CallContext::for_job("test", &self.entropy, Duration::from_secs(30));
        context.principal = principal;
        context
    }

    /// A principal of a new member with `roles`.
    pub fn principal(&self, tenant: TenantId, roles: &[Role]) -> PrincipalToken {
        let member = MemberId::new(self.entropy.uuid7(&self.clock));
        let session = SessionId::new(self.entropy.uuid7(&self.clock));
        self.access.principal(tenant, member, session, roles)
    }

    /// A tenant's id, new.
    pub fn tenant(&self) -> TenantId {
        TenantId::new(self.entropy.uuid7(&self.clock))
    }

    /// Asks all tasks to end, and waits for them.
    pub async fn stop(&self) {
        assert!(
            self.tasks.shut_down(Duration::from_secs(20)).await,
            "a task did not end when it was asked to"
        );
    }
}
