//! The HTTP server: HTTP/1.1 and HTTP/2, over TLS where a certificate is configured and else in plain (TLS ends before us,
//! or we are on loopback), with a limit on everything a client could hold open: connections, the time of a handshake, the
//! time and size of headers, streams, resets, and connections that ask nothing.
//!
//! The drain takes no more connections, lets the running requests finish, and cuts what is late.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body};
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use lethe_ambient::Tasks;
use lethe_service::{BuildError, tls::Https};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::{
    config::Config,
    edge::address::{Peer, Wire},
};

/// Requests of one HTTP/2 connection at a time.
const MOST_STREAMS: u32 = 250;
/// For a year browsers come over TLS alone (RFC 6797).
const TLS_ALONE: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// Streams that a client reset before we looked at them (CVE-2023-44487), and that we reset because of its errors: more, and
/// the connection goes.
const MOST_RESETS: usize = 20;
const MOST_ERRORS: usize = 100;
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
/// When the certificate cannot be used, or the listener does not know its address.
pub fn serve(
    listener: TcpListener,
    router: Router,
    config: &Config,
    tasks: &Tasks,
) -> Result<Listening, BuildError> {
    let https = config.tls.as_ref().map(|tls| Https::load(tls, tasks)).transpose()?;
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
        https,
        handshake_limit: Duration::from_millis(config.header_timeout_ms),
        // What is asked at the last moment is answered by then, and begins to be taken.
        stall_limit: config.request_timeout() + Duration::from_millis(config.header_timeout_ms),
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
        .max_pending_accept_reset_streams(MOST_RESETS)
        .max_local_error_reset_streams(MOST_ERRORS)
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
    https: Option<Https>,
    handshake_limit: Duration,
    stall_limit: Duration,
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
                (Ok(place), Ok((stream, peer))) => self.take_in(stream, peer, place),
                (_, Err(error)) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(AGAIN).await;
                }
                // The semaphore is never closed.
                (Err(_), _) => return self.graceful,
            }
        }
    }

    fn take_in(&self, stream: TcpStream, address: SocketAddr, place: OwnedSemaphorePermit) {
        // Without it small answers wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let (router, builder, watcher) = (self.router.clone(), self.builder.clone(), self.graceful.watcher());
        let (https, limit, stall, cut) =
            (self.https.clone(), self.handshake_limit, self.stall_limit, self.cut.clone());
        let activity = Activity::default();
        let own = activity.clone();
        let connection = async move {
            let Some(https) = https else {
                let service = Answering { router, peer: Peer::plain(address), activity: own };
                return watcher.watch(builder.serve_connection(TokioIo::new(stream), service)).await;
            };
            let stream = https.accept(stream, limit).await?;
            let service = Answering { router, peer: Peer { address, wire: Wire::Tls }, activity: own };
            watcher.watch(builder.serve_connection(TokioIo::new(stream), service)).await
        };
        self.tasks.spawn("http connection", async move {
            tokio::select! {
                result = connection => if let Err(error) = result {
                    // The client's doing: a reset, a timeout, nonsense instead of TLS or HTTP.
                    tracing::debug!(error, "a connection ended");
                },
                () = activity.over(limit, stall) => tracing::debug!("a connection asked nothing, or took no answer"),
                () = cut.cancelled() => {}
            }
            drop(place);
        });
    }
}

/// What answers the requests of one connection.
struct Answering {
    router: Router,
    peer: Peer,
    activity: Activity,
}

impl hyper::service::Service<Request<hyper::body::Incoming>> for Answering {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn call(&self, request: Request<hyper::body::Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer);
        // HTTP/2 names the host in the request line (RFC 9113, 8.3.1); from here on it stands where HTTP/1.1 has it.
        if let Some(authority) = request.uri().authority()
            && !request.headers().contains_key(header::HOST)
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            request.headers_mut().insert(header::HOST, host);
        }
        // A router is always ready.
        let (answer, wire) = (self.router.clone().call(request), self.peer.wire);
        let asking = self.activity.begin();
        Box::pin(async move {
            let mut answer = answer.await?;
            if wire == Wire::Tls {
                answer.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, TLS_ALONE);
            }
            // Until the client has the whole answer, or has gone.
            Ok(answer.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    asking.goes_on();
                    frame
                }))
            }))
        })
    }
}

/// Whether a connection asks anything, and takes the answers. HTTP/1 headers that do not end are cut off by hyper; what it does
/// not is a client that does not even say which version it speaks, one of HTTP/2 that answers pings and begins no request, and
/// one that opens no window for what it asked. How many requests run, and since when nothing of them went on.
#[derive(Clone)]
struct Activity(Arc<Mutex<(usize, Instant)>>);

/// One request that is being answered; ends when it is dropped.
struct Asking(Activity);

impl Default for Activity {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((0, Instant::now()))))
    }
}

impl Activity {
    fn begin(&self) -> Asking {
        self.state(|(running, since)| {
            *running += 1;
            *since = Instant::now();
        });
        Asking(self.clone())
    }

    /// Ends when nothing was asked for `idle`, or nothing of what is asked went on for `stall`.
    async fn over(&self, idle: Duration, stall: Duration) {
        loop {
            let (running, since) = self.state(|state| *state);
            let limit = if running > 0 { stall } else { idle };
            if since.elapsed() >= limit {
                return;
            }
            tokio::time::sleep_until((since + limit).min(Instant::now() + idle)).await;
        }
    }

    fn state<T>(&self, with: impl FnOnce(&mut (usize, Instant)) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Asking {
    fn goes_on(&self) {
        self.0.state(|(_, since)| *since = Instant::now());
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.state(|(running, since)| {
            *running -= 1;
            *since = Instant::now();
        });
    }
}
