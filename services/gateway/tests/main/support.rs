//! A gateway, the services that it sees, and requests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request as Incoming};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use lethe_access::{Access, Revocations, Role};
use lethe_ambient::{Clock, Entropy, Tasks};
use lethe_gateway::{Config, Peer};
use lethe_ids::{MemberId, SessionId, TenantId};
use lethe_proto::{METHODS, identity::AuthenticateRequest, identity::AuthenticateResponse};
use lethe_service::{
    Env, Failure, Nats, NatsConfig, Parts, Peers, Pipe, Server, ServerConfig, peers::Transport,
};
use lethe_testkit::{TestAccess, access};
use prost::Message;
use serde_json::Value;
use time::macros::datetime;
use tonic::Status;
use tower::ServiceExt;
use uuid::Uuid;

/// What stands behind the gateway.
const BEHIND: [&str; 4] = ["identity", "messaging", "search", "retention"];
/// What the gateway asks on its own behalf.
const OWN: [&str; 5] =
    ["Authenticate", "AuthenticateSignature", "UseSignature", "RecordApiRequests", "LeaseRates"];
/// The token of a session that identity knows.
pub(crate) const TOKEN: &str = "lth_s_00000000000000000000000000000001_c2VjcmV0";
pub(crate) const CONTACT: &str = "con_0199aabbccdd7eef8123456789abcdef";
pub(crate) const CONVERSATION: &str = "cnv_0199aabbccdd7eef8123456789abcdef";
pub(crate) const MESSAGE: &str = "msg_0199aabbccdd7eef8123456789abcdef";
pub(crate) const ERASURE: &str = "era_0199aabbccdd7eef8123456789abcdef";
pub(crate) const MEMBER: &str = "mem_0199aabbccdd7eef8123456789abcdef";
/// Sent with requests whose answers are compared whole.
pub(crate) const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

type Answer = Arc<dyn Fn(&[u8]) -> Result<Vec<u8>, Status> + Send + Sync>;

/// A call that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) rpc: String,
    pub(crate) headers: HeaderMap,
    pub(crate) message: Bytes,
}

impl Call {
    pub(crate) fn read<M: Message + Default>(&self) -> M {
        M::decode(self.message.clone()).expect("the request's message")
    }
}

/// What the services behind the gateway answer, and what they were asked.
#[derive(Clone, Default)]
pub(crate) struct Behind {
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Behind {
    /// `rpc` answers this from now on.
    pub(crate) fn answers<M: Message>(&self, rpc: &str, message: M) {
        let bytes = message.encode_to_vec();
        self.on(rpc, move |_| Ok(bytes.clone()));
    }

    /// `rpc` fails so from now on.
    pub(crate) fn fails(&self, rpc: &str, failure: Failure) {
        self.on(rpc, move |_| Err(failure.clone().into()));
    }

    pub(crate) fn on(
        &self,
        rpc: &str,
        answer: impl Fn(&[u8]) -> Result<Vec<u8>, Status> + Send + Sync + 'static,
    ) {
        self.answers.lock().unwrap().insert(rpc.to_owned(), Arc::new(answer));
    }

    /// The calls so far, but those that authenticate, and what the gateway says by itself.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().iter().filter(|call| !OWN.contains(&call.rpc.as_str())).cloned().collect()
    }

    /// How often `rpc` was called.
    pub(crate) fn count(&self, rpc: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| call.rpc == rpc).count()
    }

    async fn take(self, request: Incoming) -> http::Response<Body> {
        let rpc = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let headers = request.headers().clone();
        let frame = request.into_body().collect().await.unwrap().to_bytes();
        // gRPC's frame: a byte that says not compressed, and four of the length.
        let message = frame.slice(5..);
        self.calls.lock().unwrap().push(Call { rpc: rpc.clone(), headers, message: message.clone() });
        let answer = self.answers.lock().unwrap().get(&rpc).cloned();
        // Without an answer of the test: the empty message, which every message type can be.
        match answer.map_or_else(|| Ok(Vec::new()), |answer| answer(&message)) {
            Err(status) => status.into_http(),
            Ok(bytes) => {
                let mut frame = BytesMut::with_capacity(5 + bytes.len());
                frame.put_u8(0);
                frame.put_u32(u32::try_from(bytes.len()).unwrap());
                frame.put_slice(&bytes);
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", "0".parse().unwrap());
                let frames = [
                    Ok::<_, std::convert::Infallible>(http_body::Frame::data(frame.freeze())),
                    Ok(http_body::Frame::trailers(trailers)),
                ];
                let body = Body::new(http_body_util::StreamBody::new(futures::stream::iter(frames)));
                http::Response::builder().header(header::CONTENT_TYPE, "application/grpc").body(body).unwrap()
            }
        }
    }
}

/// A gateway and what is behind it.
pub(crate) struct Edge {
    pub(crate) router: Router,
    pub(crate) behind: Behind,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) revocations: Revocations,
    pub(crate) config: Config,
    pub(crate) access: TestAccess,
    _servers: Vec<Server>,
}

/// The tenant, member and session of [`TOKEN`].
pub(crate) fn who() -> (TenantId, MemberId, SessionId) {
    let uuid = Uuid::from_u128(1);
    (TenantId::new(uuid), MemberId::new(uuid), SessionId::new(uuid))
}

pub(crate) fn config() -> Config {
    #[derive(serde::Deserialize)]
    struct Sections {
        gateway: Config,
    }
    let sections: Sections =
        lethe_service::load(&[lethe_gateway::DEFAULTS], None, std::iter::empty()).expect("the defaults");
    sections.gateway
}

/// A gateway with the default configuration.
pub(crate) async fn edge() -> Edge {
    edge_with(|_| {}).await
}

/// A gateway with another configuration.
pub(crate) async fn edge_with(change: impl FnOnce(&mut Config)) -> Edge {
    let mut config = config();
    change(&mut config);
    build(config, None).await
}

/// A gateway that hears of revocations by these.
pub(crate) async fn edge_with_revocations(revocations: Revocations) -> Edge {
    build(config(), Some(revocations)).await
}

async fn build(config: Config, revocations: Option<Revocations>) -> Edge {
    let clock = Clock::fixed(datetime!(2026-11-22 12:00 UTC));
    let entropy = Entropy::seeded(1);
    let tasks = Tasks::new();
    let names: Vec<&'static str> = BEHIND.into_iter().chain(["gateway"]).collect();
    let access = access(&names, &clock);
    let behind = Behind::default();
    let mut transports = Vec::new();
    let mut incoming = Vec::new();
    for name in BEHIND {
        let (pipe, end) = Pipe::new();
        transports.push((name.to_owned(), Transport::Pipe(pipe)));
        incoming.push((name, end));
    }
    let nats = nats().await;
    let env = |access: Access| Env {
        clock: clock.clone(),
        entropy: entropy.clone(),
        tasks: tasks.clone(),
        peers: Peers::new(access.clone(), transports.clone()),
        nats: nats.clone(),
        access,
    };
    let limits = ServerConfig {
        max_concurrent_calls: 256,
        default_timeout_ms: 20_000,
        max_timeout_ms: 60_000,
        probe_interval_ms: 60_000,
        drain_timeout_ms: 1_000,
    };
    let mut servers = Vec::new();
    for (name, end) in incoming {
        let mut routes = Router::new();
        for method in METHODS.iter().filter(|method| serves(name, method.path)) {
            let behind = behind.clone();
            routes = routes.route(method.path, axum::routing::post(move |request| behind.take(request)));
        }
        let parts = Parts { name, grpc: routes.into(), jobs: Vec::new(), probes: Vec::new(), http: None };
        servers
            .push(Server::start(parts, &env(access.of(name)), &limits, Some(end)).expect("a fake is served"));
    }
    let own = match revocations {
        Some(revocations) => access.with_revocations("gateway", revocations),
        None => access.of("gateway"),
    };
    let revocations = own.revocations().clone();
    let parts = lethe_gateway::build(config.clone(), env(own)).await.expect("the gateway is built");
    for job in parts.jobs {
        tasks.spawn(job.name, job.run);
    }
    let edge = Edge {
        router: parts.http.expect("the gateway's routes"),
        behind,
        clock,
        tasks,
        revocations,
        config,
        access,
        _servers: servers,
    };
    edge.lets_in(TOKEN, who(), &[Role::Owner]);
    edge
}

fn serves(name: &str, path: &str) -> bool {
    path.starts_with(&format!("/lethe.{name}."))
}

/// Connects to nobody: the gateway is not on the bus.
async fn nats() -> Nats {
    let config = NatsConfig { url: "nats://127.0.0.1:9".to_owned(), ca: None, user: None, password: None };
    Nats::connect("gateway", &config).await.expect("a URL of NATS")
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header of text"))
    }
    /// Status, code and field of a problem.
    pub(crate) fn problem(&self) -> (u16, String, Option<String>) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{:?}", self.body);
        let json = self.json();
        assert_eq!(json["status"], self.status.as_u16());
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        (self.status.as_u16(), text("code").expect("a code"), text("field"))
    }
}

impl Edge {
    /// Identity takes `token` for this session, for a minute of the test's clock.
    pub(crate) fn lets_in(&self, token: &str, who: (TenantId, MemberId, SessionId), roles: &[Role]) {
        let (token, roles, access) = (token.to_owned(), roles.to_vec(), self.access.clone());
        self.behind.on("Authenticate", move |message| {
            let asked = AuthenticateRequest::decode(message).expect("a token");
            if asked.token != token {
                return Err(Failure::unauthenticated("SESSION_INVALID", "the session is not valid").into());
            }
            let principal = access.principal(who.0, who.1, who.2, &roles).to_bytes();
            Ok(AuthenticateResponse { principal, plan: String::new() }.encode_to_vec())
        });
    }

    /// The same of a member who must change his one-time password.
    pub(crate) fn lets_in_newcomer(&self, token: &str, who: (TenantId, MemberId, SessionId)) {
        let (token, access) = (token.to_owned(), self.access.clone());
        self.behind.on("Authenticate", move |message| {
            assert_eq!(AuthenticateRequest::decode(message).expect("a token").token, token);
            let principal = access.newcomer(who.0, who.1, who.2).to_bytes();
            Ok(AuthenticateResponse { principal, plan: String::new() }.encode_to_vec())
        });
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answered {
        let mut request = request;
        if request.extensions().get::<Peer>().is_none() {
            request.extensions_mut().insert(Peer::plain("203.0.113.7:40000".parse().unwrap()));
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = tokio::time::timeout(Duration::from_secs(10), body.collect()).await.unwrap().unwrap();
        Answered { status: parts.status, headers: parts.headers, body: body.to_bytes() }
    }

    /// Sends a member's request.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: &str) -> Answered {
        self.send(request(method, path, body)).await
    }
}

/// A member's request with all headers that a change may need.
pub(crate) fn request(method: Method, path: &str, body: &str) -> Request<Body> {
    let mut request = Request::builder()
        .method(method.clone())
        .uri(path)
        .header(header::HOST, "api.example.com")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header("idempotency-key", "key-1")
        .header(header::IF_MATCH, "\"3\"")
        .header("x-request-id", "request-1")
        .header("traceparent", TRACEPARENT);
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request.body(Body::from(body.to_owned())).unwrap()
}
