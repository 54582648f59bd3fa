//! The server of one service: [`Server`] serves its [`Parts`] in the process (by [`Incoming`]) and on TCP, says
//! whether it is ready, and drains.
//!
//! Every call, whichever way it comes, passes one hand-written layer, the [`Shell`].

mod health;
mod shell;

use std::{future::Future, io, net::SocketAddr, time::Duration};

use futures::{Stream, StreamExt};
use lethe_ambient::Tasks;
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};

pub use health::Readiness;
pub(crate) use shell::Shell;

use crate::{BuildError, Env, Incoming, Parts, tls::Mutual};

/// Limits of a service's server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Calls that run at once; one more is refused with RESOURCE_EXHAUSTED.
    pub max_concurrent_calls: u32,
    /// For a call whose caller names no time.
    pub default_timeout_ms: u64,
    /// For any call.
    pub max_timeout_ms: u64,
    /// How often the probes are asked.
    pub probe_interval_ms: u64,
    /// How long [`Server::drain`] waits for running calls.
    pub drain_timeout_ms: u64,
}

/// How often the probes are asked while one of them fails.
const STARTING: Duration = Duration::from_millis(25);

/// Handshakes of TLS at a time; further connections wait in the kernel's queue.
const HANDSHAKES: usize = 64;

/// Options of the section `server`, with their meaning.
pub const DEFAULTS: &str = include_str!("../server.default.toml");

/// A service that is being served.
#[derive(Debug)]
pub struct Server {
    shell: Shell,
    readiness: Readiness,
    tasks: Tasks,
    /// No new connections.
    stop: CancellationToken,
    drain_timeout: Duration,
}

impl Server {
    /// Serves `parts`: its RPCs, health and reflection on `incoming`, its jobs as tasks. [`Parts::http`] is the
    /// caller's to serve.
    ///
    /// # Errors
    /// When the descriptors for reflection cannot be read: a defect of the build.
    pub fn start(
        parts: Parts,
        env: &Env,
        config: &ServerConfig,
        incoming: Option<Incoming>,
    ) -> Result<Self, BuildError> {
        let (readiness, health) = Readiness::new(parts.name, parts.probes);
        let routes = parts.grpc.add_service(health).add_service(reflection()?).prepare();
        let shell = Shell::new(parts.name, routes, env, config);
        if let Some(incoming) = incoming {
            incoming.serve(shell.clone());
        }
        for job in parts.jobs {
            env.tasks.spawn(job.name, job.run);
        }
        let asked = readiness.clone();
        let (tasks, interval) = (env.tasks.clone(), Duration::from_millis(config.probe_interval_ms));
        env.tasks.spawn("probes", async move {
            loop {
                // What is not ready yet is asked sooner, so that a start takes no longer than it must.
                let pause = if asked.ask().await { interval } else { interval.min(STARTING) };
                if !tasks.rest(pause).await {
                    asked.stopping().await;
                    break;
                }
            }
        });
        Ok(Self {
            shell,
            readiness,
            tasks: env.tasks.clone(),
            stop: CancellationToken::new(),
            drain_timeout: Duration::from_millis(config.drain_timeout_ms),
        })
    }

    /// Listens on TCP as well: HTTP/2 over mutual TLS, or plain without `tls`. Answers the address, whose port may have
    /// been 0.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn listen(&self, address: SocketAddr, tls: Option<&Mutual>) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let connections = TcpListenerStream::new(listener).map(|connection| {
            connection.inspect(|stream| {
                // Without it small answers wait for an acknowledgement.
                let _ = stream.set_nodelay(true);
            })
        });
        match tls.cloned() {
            None => self.serve(connections),
            Some(tls) => self.serve(
                connections
                    .map(move |connection| {
                        let tls = tls.clone();
                        async move { tls.accept(connection?).await }
                    })
                    .buffer_unordered(HANDSHAKES),
            ),
        }
        Ok(address)
    }

    /// Serves what comes in until the drain.
    fn serve<C>(&self, connections: impl Stream<Item = io::Result<C>> + Send + 'static)
    where
        C: Connected + AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // A connection that failed is nobody's; the next one is waited for.
        let connections = connections.filter(|connection| {
            if let Err(error) = connection {
                tracing::warn!(%error, "a connection was refused");
            }
            std::future::ready(connection.is_ok())
        });
        let (shell, stop) = (self.shell.clone(), self.stop.clone());
        let served = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(30)))
            .serve_with_incoming_shutdown(shell, connections, self.stop.clone().cancelled_owned());
        let limit = self.drain_timeout;
        self.tasks.spawn("grpc", async move {
            let late = async {
                stop.cancelled().await;
                tokio::time::sleep(limit).await;
            };
            tokio::select! {
                ended = served => if let Err(error) = ended {
                    tracing::error!(%error, "the gRPC listener ended");
                },
                () = late => tracing::warn!("connections were cut at the end of the drain"),
            }
        });
    }

    /// Whether the service is ready, and what it lacks.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Takes no more calls and waits for those that run, as long as configured. Answers whether all of them ended.
    pub fn drain(&self) -> impl Future<Output = bool> + Send + 'static {
        self.stop.cancel();
        let (shell, limit) = (self.shell.clone(), self.drain_timeout);
        async move { tokio::time::timeout(limit, shell.drain()).await.is_ok() }
    }
}

fn reflection() -> Result<ServerReflectionServer<impl ServerReflection>, tonic_reflection::server::Error> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(lethe_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
}
