//! A second gateway before the platform's services, over TCP, with options of the test's own: another replica, small limits.

use std::{net::SocketAddr, time::Duration};

use lethe_access::{Access, PublicKeys, RemoteIdentity, Revocations};
use lethe_ambient::{Entropy, Tasks};
use lethe_gateway::{Config, Listening};
use lethe_service::{Env, Nats, NatsConfig, Peers, Replicas, peers::Transport};
use serde::Deserialize;
use tokio::net::TcpListener;
use tonic::transport::Endpoint;

use crate::{Platform, within};

/// A gateway of a test's own; it ends with the test.
pub struct Replica {
    /// Its URL.
    pub url: String,
    tasks: Tasks,
    _listening: Listening,
}

#[derive(Deserialize)]
struct Sections {
    gateway: Config,
}

impl Platform {
    /// Another gateway, whose compiled-in options are changed by `options` (TOML).
    ///
    /// # Panics
    /// When it does not come to hear identity.
    pub async fn gateway(&self, options: &str) -> Replica {
        let layers = [lethe_gateway::DEFAULTS, options];
        let mut config: Config = lethe_service::load::<Sections>(&layers, None, std::iter::empty())
            .expect("the options fit")
            .gateway;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        config.listen = listener.local_addr().expect("an address");
        let mut keys = PublicKeys::new();
        for name in self.grpc.keys().copied().chain(["gateway"]) {
            keys.insert(name, &self.service_key(name).public()).expect("a public key");
        }
        let tasks = Tasks::new();
        let access =
            Access::new("gateway", self.service_key("gateway"), keys, Revocations::new(), self.clock.clone());
        let transports = self.grpc.iter().map(|(&name, address)| {
            let replicas = Replicas::connect(name, &format!("http://{address}"), None, &tasks);
            let replicas = replicas.expect("a service");
            (name.to_owned(), Transport::Network(replicas))
        });
        let peers = Peers::new(access.clone(), transports);
        let nowhere =
            NatsConfig { url: "nats://127.0.0.1:9".to_owned(), user: None, password: None, ca: None };
        let env = Env {
            clock: self.clock.clone(),
            entropy: Entropy::system(),
            tasks: tasks.clone(),
            peers,
            nats: Nats::connect("gateway", &nowhere).await.expect("a URL of NATS"),
            access: access.clone(),
        };
        let channel = endpoint(self.grpc["identity"]).connect_lazy();
        let identity = RemoteIdentity::new(channel, access.clone());
        tasks.spawn("revocations", identity.feed(tasks.clone()));
        let parts = lethe_gateway::build(config.clone(), env).await.expect("a gateway");
        for job in parts.jobs {
            tasks.spawn(job.name, job.run);
        }
        let router = parts.http.expect("routes");
        let listening = lethe_gateway::serve(listener, router, &config, &tasks).expect("a socket");
        within(Duration::from_secs(10), "the gateway hears identity", async || {
            access.revocations().is_fresh(tokio::time::Instant::now())
        })
        .await;
        Replica { url: format!("http://{}", listening.address()), tasks, _listening: listening }
    }
}

impl Replica {
    /// Ends it, and waits for its end.
    pub async fn stop(self) {
        self.tasks.shut_down(Duration::from_secs(5)).await;
    }
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("http://{address}")).expect("a URL")
}
