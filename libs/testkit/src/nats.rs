//! A nats-server a test, so that streams of one test are not another's. It starts in some 30 ms.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use lethe_servers::{Nats as NatsServer, free_port};
use lethe_service::{Nats, NatsConfig, Secret};

use crate::servers;

const PASSWORD: &str = "testkit-nats";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A nats-server with JetStream of one test's own.
#[derive(Debug)]
pub struct TestNats {
    /// How to reach it; the same after a restart.
    pub config: NatsConfig,
    server: Option<NatsServer>,
    folder: PathBuf,
    port: u16,
}

/// Starts a nats-server. It ends when it is dropped.
pub async fn nats() -> TestNats {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = servers().await.folder().join(format!("nats-{number}"));
    let port = free_port().expect("a free port");
    let server = start(&folder, port).await;
    let config = NatsConfig {
        url: server.url(),
        ca: None,
        user: Some(server.user().to_owned()),
        password: Some(Secret::new(PASSWORD)),
    };
    TestNats { config, server: Some(server), folder, port }
}

impl TestNats {
    /// A connection in the name of `service`.
    pub async fn connect(&self, service: &'static str) -> Nats {
        Nats::connect(service, &self.config).await.expect("a URL of NATS")
    }

    /// Ends the server as a crash would. Connections try again until it is back.
    pub async fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill().await;
        }
    }

    /// Starts it again with what it had.
    pub async fn restart(&mut self) {
        self.kill().await;
        self.server = Some(start(&self.folder, self.port).await);
    }

    /// Starts it again with nothing: every stream is gone.
    pub async fn wipe(&mut self) {
        self.kill().await;
        fs::remove_dir_all(self.folder.join("store")).expect("a store to clear");
        self.server = Some(start(&self.folder, self.port).await);
    }

    /// What it keeps on disk, for scans.
    pub fn data(&self) -> PathBuf {
        self.folder.join("store")
    }
}

async fn start(folder: &std::path::Path, port: u16) -> NatsServer {
    NatsServer::start(servers().await.programs(), folder, port, PASSWORD).await.expect("nats-server starts")
}
