//! One replica: its connection, made again whenever it breaks, and the calls on it.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body};

use crate::{Failure, tls::Mutual};

/// How long it may take to connect; the handshake of TLS has its own limit.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// The pauses between attempts grow from the first to the second.
const AGAIN: (Duration, Duration) = (Duration::from_millis(25), Duration::from_secs(1));
/// A peer that says nothing is asked whether it lives, and given up when it does not answer: half-open and paused ones.
const ASK_AFTER: Duration = Duration::from_secs(3);
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long a replica that turned a call away is asked after the others.
const ASKED_LAST: Duration = Duration::from_secs(1);
/// The reasons with which a replica says that another one may take the call: it did nothing that may not be done again.
const TURNED_AWAY: [&str; 3] = ["STOPPING", "TOO_MANY_CALLS", "SHARD_ELSEWHERE"];

/// One address of a service.
pub(super) struct Replica {
    service: &'static str,
    address: SocketAddr,
    sender: Mutex<Option<SendRequest<Body>>>,
    under_way: AtomicUsize,
    /// When it last turned a call away.
    turned_away_at: Mutex<Option<Instant>>,
    stop: CancellationToken,
}

/// What became of a call.
pub(super) enum Sent {
    /// The replica answered.
    Answered(Response<Body>),
    /// Surely not begun; with what the replica said, if anything.
    NotBegun(Option<Failure>),
    /// Nobody knows whether it was carried out.
    Lost(Failure),
}

impl Replica {
    pub(super) fn new(service: &'static str, address: SocketAddr, stop: CancellationToken) -> Self {
        Self {
            service,
            address,
            sender: Mutex::default(),
            under_way: AtomicUsize::new(0),
            turned_away_at: Mutex::default(),
            stop,
        }
    }

    /// Its address is the service's no more: running calls end, and the connection with them.
    pub(super) fn leave(&self) {
        self.stop.cancel();
    }

    pub(super) fn is_connected(&self) -> bool {
        self.sender().as_ref().is_some_and(|sender| !sender.is_closed())
    }

    /// By what the least is first asked: whether it turned a call away a moment ago (it drains, is full, or waits for
    /// another's lease), and how many calls wait for its answer.
    pub(super) fn reluctance(&self) -> (bool, usize) {
        let turned_away_at = *self.turned_away_at.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = turned_away_at.is_some_and(|at| at.elapsed() < ASKED_LAST);
        (lately, self.under_way.load(Ordering::Relaxed))
    }

    /// Keeps a connection until [`Replica::leave`] or the end of the process; each one is told to `connected`.
    pub(super) async fn hold(&self, tls: Option<&Mutual>, connected: &Notify) {
        let mut pause = AGAIN.0;
        loop {
            let connection = tokio::select! {
                () = self.stop.cancelled() => return,
                connection = self.connect(tls) => connection,
            };
            match connection {
                Ok(broken) => {
                    pause = AGAIN.0;
                    connected.notify_waiters();
                    tracing::debug!(service = self.service, address = %self.address, "connected");
                    tokio::select! {
                        () = self.stop.cancelled() => {
                            self.sender().take();
                            return;
                        }
                        () = broken.cancelled() => drop(self.sender().take()),
                    }
                    tracing::debug!(service = self.service, address = %self.address, "the connection ended");
                }
                Err(error) => {
                    tracing::debug!(service = self.service, address = %self.address, %error, "not connected");
                    if error.kind() == io::ErrorKind::InvalidData {
                        // A certificate was refused: no matter of a start or a restart.
                        tracing::warn!(service = self.service, address = %self.address, %error, "refused");
                    }
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (2 * pause).min(AGAIN.1);
        }
    }

    /// A connection; what it answers is cancelled when it has ended.
    async fn connect(&self, tls: Option<&Mutual>) -> io::Result<CancellationToken> {
        let stream = timeout(CONNECT_LIMIT, TcpStream::connect(self.address)).await??;
        // Without it small requests wait for an acknowledgement.
        stream.set_nodelay(true)?;
        match tls {
            Some(tls) => self.speak(tls.connect(stream, self.service).await?).await,
            None => self.speak(stream).await,
        }
    }

    async fn speak<S>(&self, stream: S) -> io::Result<CancellationToken>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(ASK_AFTER)
            .keep_alive_timeout(ANSWER_WITHIN)
            .keep_alive_while_idle(true);
        let handshake = builder.handshake::<_, Body>(TokioIo::new(stream));
        let (sender, connection) = timeout(CONNECT_LIMIT, handshake).await?.map_err(io::Error::other)?;
        let ended = CancellationToken::new();
        let end = ended.clone().drop_guard();
        #[allow(
            clippy::disallowed_methods,
            reason = "ends with its connection, which ends when nobody can send on it"
        )]
        tokio::spawn(async move {
            let _end = end;
            // Why it ended is told to each call on it.
            let _ended = connection.await;
        });
        *self.sender() = Some(sender);
        Ok(ended)
    }

    /// Makes a call here.
    pub(super) async fn send(&self, request: Request<Body>) -> Sent {
        let Some(mut sender) = self.sender().clone() else { return Sent::NotBegun(None) };
        let _counted = Counted::one(&self.under_way);
        if sender.ready().await.is_err() {
            return Sent::NotBegun(None);
        }
        match sender.try_send_request(request).await {
            Ok(response) => {
                let sent = answered(response.map(|body| Body::new(body.map_err(lost))));
                if matches!(sent, Sent::NotBegun(_)) {
                    let mut at = self.turned_away_at.lock().unwrap_or_else(PoisonError::into_inner);
                    *at = Some(Instant::now());
                }
                sent
            }
            Err(mut error) => {
                let never_left = error.take_message().is_some();
                let error = error.into_error();
                if never_left || was_turned_away(&error) {
                    Sent::NotBegun(None)
                } else {
                    Sent::Lost(peer_lost(error))
                }
            }
        }
    }

    fn sender(&self) -> std::sync::MutexGuard<'_, Option<SendRequest<Body>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a call for as long as it waits.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn one(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn answered(response: Response<Body>) -> Sent {
    // An error without a message stands in the headers.
    let status = Status::from_header_map(response.headers());
    let refused =
        status.filter(|status| matches!(status.code(), Code::Unavailable | Code::ResourceExhausted));
    match refused.map(|status| Failure::from_status(&status)) {
        Some(failure) if TURNED_AWAY.contains(&&*failure.reason) => Sent::NotBegun(Some(failure)),
        _ => Sent::Answered(response),
    }
}

/// Whether the replica said that it did not begin this call (RFC 9113, 6.8 and 8.7).
fn was_turned_away(error: &hyper::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let reason = error.reason();
            return reason == Some(h2::Reason::REFUSED_STREAM)
                || error.is_go_away() && error.is_remote() && reason == Some(h2::Reason::NO_ERROR);
        }
        cause = error.source();
    }
    false
}

fn peer_lost(error: hyper::Error) -> Failure {
    Failure::unavailable("PEER_LOST", error)
}

fn lost(error: hyper::Error) -> Status {
    peer_lost(error).into()
}
