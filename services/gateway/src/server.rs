//! The HTTP server: HTTP/1.1 and HTTP/2 without TLS (which ends before us), with a limit on everything a client could
//! hold open: connections, the time and size of headers, streams.
//!
//! The drain takes no more connections, lets the running requests finish, and cuts what is late.

use std::{io, net::SocketAddr, time::Duration};

use axum::{Router, body::Body};
use http::Request;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use lethe_ambient::Tasks;
use std::sync::Arc;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::{config::Config, edge::address::Peer};

/// Requests of one HTTP/2 connection at a time.
const MOST_STREAMS: u32 = 250;
/// After an error of `accept` (no more descriptors) it is tried again after so long.
const AGAIN: Duration = Duration::from_millis(50);

/// A gateway that listens.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    /// No more connections.
    stop: CancellationToken,
    /// Cuts what is left.
    cut: CancellationToken,
    /// The last connection has ended.
    ended: CancellationToken,
    drain_timeout: Duration,
}

/// Serves `router` on `listener` until [`Listening::drain`].
///
/// # Errors
/// When the listener does not know its address.
pub fn serve(listener: TcpListener, router: Router, config: &Config, tasks: &Tasks) -> io::Result<Listening> {
    let listening = Listening {
        address: listener.local_addr()?,
        stop: CancellationToken::new(),
        cut: CancellationToken::new(),
        ended: CancellationToken::new(),
        drain_timeout: Duration::from_millis(config.drain_timeout_ms),
    };
    let door = Door {
        router,
        builder: builder(config),
        places: Arc::new(Semaphore::new(config.max_connections)),
        graceful: GracefulShutdown::new(),
        cut: listening.cut.clone(),
        tasks: tasks.clone(),
    };
    let (stop, ended) = (listening.stop.clone(), listening.ended.clone());
    tasks.spawn("http", async move {
        let graceful = door.open(listener, stop).await;
        graceful.shutdown().await;
        ended.cancel();
    });
    Ok(listening)
}

fn builder(config: &Config) -> auto::Builder<TokioExecutor> {
    let header_timeout = Duration::from_millis(config.header_timeout_ms);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(config.header_limit_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(header_timeout)
        .keep_alive_timeout(header_timeout)
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(u32::try_from(config.header_limit_bytes).unwrap_or(u32::MAX));
    builder
}

impl Listening {
    /// The address, whose port may have been 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, waits for the running requests as long as configured, and cuts the rest. Answers
    /// whether nothing had to be cut.
    pub async fn drain(&self) -> bool {
        self.stop.cancel();
        let in_time = tokio::time::timeout(self.drain_timeout, self.ended.cancelled()).await.is_ok();
        self.cut.cancel();
        in_time
    }
}

/// Where connections come in.
struct Door {
    router: Router,
    builder: auto::Builder<TokioExecutor>,
    places: Arc<Semaphore>,
    graceful: GracefulShutdown,
    cut: CancellationToken,
    tasks: Tasks,
}

impl Door {
    /// Takes connections in until `stop`; answers what waits for their end.
    async fn open(self, listener: TcpListener, stop: CancellationToken) -> GracefulShutdown {
        loop {
            // One that cannot have a place is not accepted: it waits in the kernel's queue.
            let next = async {
                let place = self.places.clone().acquire_owned().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = stop.cancelled() => return self.graceful,
                next = next => next,
            };
            match (place, accepted) {
                (Ok(place), Ok((stream, peer))) => self.take_in(stream, Peer(peer), place),
                (_, Err(error)) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(AGAIN).await;
                }
                // The semaphore is never closed.
                (Err(_), _) => return self.graceful,
            }
        }
    }

    fn take_in(&self, stream: TcpStream, peer: Peer, place: OwnedSemaphorePermit) {
        // Without it small answers wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let router = self.router.clone();
        let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            // A router is always ready.
            router.clone().call(request)
        });
        let connection = self.builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = self.graceful.watch(connection);
        let cut = self.cut.clone();
        self.tasks.spawn("http connection", async move {
            tokio::select! {
                result = connection => if let Err(error) = result {
                    // The client's doing: a reset, a timeout, nonsense instead of HTTP.
                    tracing::debug!(error, "a connection ended");
                },
                () = cut.cancelled() => {}
            }
            drop(place);
        });
    }
}
