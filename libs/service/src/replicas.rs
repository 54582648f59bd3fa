//! A service in other processes: one HTTP/2 connection to each of its replicas, held open and made again.
//!
//! A call goes to the connected replica with the fewest calls under way. Where it was surely not begun (the request never
//! left, or the replica said that it takes none) it goes to the next one, whatever it is; a call that was lost on its way
//! fails as UNAVAILABLE, and whoever made it knows whether it may be made again. Written out instead of tonic's balanced
//! `Channel`, which sends every second call to a replica that is gone.

mod connection;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Uri, request::Parts};
use http_body_util::BodyExt;
use lethe_ambient::Tasks;
use tokio::{
    net::lookup_host,
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body};

use crate::{Failure, call, tls::Mutual};
use connection::{Replica, Sent};

/// How often the names of hosts are looked up again.
const LOOK_UP_EVERY: Duration = Duration::from_secs(5);
/// How long a look-up may take.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(2);
/// How long a call waits for a replica that takes it.
const PATIENCE: Duration = Duration::from_secs(1);
/// After all replicas have turned a call away.
const PAUSE: Duration = Duration::from_millis(20);
/// Of a call that names no time.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The replicas of one service. Clones share them.
#[derive(Clone)]
pub struct Replicas(Arc<Inner>);

struct Inner {
    service: &'static str,
    replicas: Mutex<BTreeMap<SocketAddr, Arc<Replica>>>,
    /// One was connected.
    connected: Notify,
    turn: AtomicUsize,
}

/// The addresses of a service cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no URL of a service: http://host:port, or https://host:port with mutual TLS")]
pub struct BadUrl(String);

impl Replicas {
    /// Connects to the replicas of `service` at `urls`, separated by commas, until the process is asked to stop. A name
    /// that stands for several addresses is that many replicas.
    ///
    /// # Errors
    /// [`BadUrl`]: an address that is none, or `https` without `tls`, or `http` with it.
    pub fn connect(
        service: &'static str,
        urls: &str,
        tls: Option<&Mutual>,
        tasks: &Tasks,
    ) -> Result<Self, BadUrl> {
        let hosts = urls.split(',').map(|url| host_of(url.trim(), tls.is_some()));
        let hosts = hosts.collect::<Result<Vec<_>, _>>()?;
        let inner = Inner {
            service,
            replicas: Mutex::default(),
            connected: Notify::new(),
            turn: AtomicUsize::new(0),
        };
        let replicas = Self(Arc::new(inner));
        let (kept, tls, until) = (replicas.clone(), tls.cloned(), tasks.clone());
        tasks.spawn("replicas", async move {
            let stop = CancellationToken::new();
            let _stops_connections = stop.clone().drop_guard();
            loop {
                kept.follow(&hosts, tls.as_ref(), &until, &stop).await;
                if !until.rest(LOOK_UP_EVERY).await {
                    return;
                }
            }
        });
        Ok(replicas)
    }

    /// Takes in the addresses that are new and lets go of those that are gone. A name that cannot be looked up changes nothing.
    async fn follow(&self, hosts: &[String], tls: Option<&Mutual>, tasks: &Tasks, stop: &CancellationToken) {
        let mut found = Vec::new();
        for host in hosts {
            match timeout(LOOK_UP_LIMIT, lookup_host(host)).await {
                Ok(Ok(addresses)) => found.extend(addresses),
                Ok(Err(_)) | Err(_) => {
                    tracing::warn!(service = self.0.service, %host, "the host of a service is not known");
                    return;
                }
            }
        }
        let mut replicas = self.replicas();
        replicas.retain(|address, replica| {
            let stays = found.contains(address);
            if !stays {
                replica.leave();
            }
            stays
        });
        for address in found {
            replicas.entry(address).or_insert_with(|| {
                let replica = Arc::new(Replica::new(self.0.service, address, stop.child_token()));
                let (held, inner, tls) = (replica.clone(), self.0.clone(), tls.cloned());
                tasks.spawn("replica", async move { held.hold(tls.as_ref(), &inner.connected).await });
                replica
            });
        }
    }

    /// Makes a call, within the time that its headers name. Never fails: an error is an answer.
    pub(crate) async fn call(&self, request: Request<Body>) -> Response<Body> {
        let limit = Instant::now() + call::timeout(request.headers()).unwrap_or(DEFAULT_TIMEOUT);
        match timeout_at(limit, self.attempt(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(failure)) => Status::from(failure).into_http(),
            Err(_) => Status::from(Failure::late()).into_http(),
        }
    }

    async fn attempt(&self, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let (mut parts, body) = request.into_parts();
        parts.uri = self.uri(&parts.uri)?;
        // A request of ours is one message, so that it can be sent again where it was not begun.
        let body = body.collect().await.map_err(Failure::internal)?.to_bytes();
        let patience = Instant::now() + PATIENCE;
        let mut turned_away = None;
        loop {
            let connected = self.0.connected.notified();
            for replica in self.by_load() {
                match replica.send(rebuilt(&parts, &body)).await {
                    Sent::Answered(response) => return Ok(response),
                    Sent::Lost(failure) => return Err(failure),
                    Sent::NotBegun(failure) => turned_away = failure.or(turned_away),
                }
            }
            if Instant::now() >= patience {
                let away = || {
                    Failure::unavailable(
                        "PEER_AWAY",
                        format!("no replica of {} is connected", self.0.service),
                    )
                };
                return Err(turned_away.unwrap_or_else(away));
            }
            // Whoever is connected meanwhile is asked at once.
            let pause = if turned_away.is_some() { (Instant::now() + PAUSE).min(patience) } else { patience };
            let _connected = timeout_at(pause, connected).await;
        }
    }

    /// The connected ones, the least reluctant first; equals take turns.
    fn by_load(&self) -> Vec<Arc<Replica>> {
        let mut replicas: Vec<_> =
            self.replicas().values().filter(|replica| replica.is_connected()).cloned().collect();
        if !replicas.is_empty() {
            let turn = self.0.turn.fetch_add(1, Ordering::Relaxed) % replicas.len();
            replicas.rotate_left(turn);
            replicas.sort_by_key(|replica| replica.reluctance());
        }
        replicas
    }

    /// HTTP/2 wants an authority: the service's name.
    fn uri(&self, path: &Uri) -> Result<Uri, Failure> {
        let path = path.path_and_query().map_or("/", |path| path.as_str());
        let uri = Uri::builder().scheme("https").authority(self.0.service).path_and_query(path).build();
        uri.map_err(Failure::internal)
    }

    fn replicas(&self) -> std::sync::MutexGuard<'_, BTreeMap<SocketAddr, Arc<Replica>>> {
        self.0.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Replicas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Replicas").field(&self.0.service).finish()
    }
}

fn rebuilt(parts: &Parts, body: &Bytes) -> Request<Body> {
    let mut request = Request::new(Body::new(http_body_util::Full::new(body.clone())));
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = parts.headers.clone();
    request
}

/// `host:port` of a URL whose scheme fits.
fn host_of(url: &str, tls: bool) -> Result<String, BadUrl> {
    let scheme = if tls { "https://" } else { "http://" };
    let host = url.strip_prefix(scheme).map(|rest| rest.trim_end_matches('/'));
    let host = host.filter(|host| host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()));
    host.map(str::to_owned).ok_or_else(|| BadUrl(url.to_owned()))
}
