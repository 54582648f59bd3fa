//! What every call passes before it reaches an RPC: request id, span, drain, limit on calls at once, guard,
//! deadline, panic, and after it one access-log line and one measurement.
//!
//! One service written out instead of a stack of layers, because it stands on the hot path: a call costs one boxed
//! future here.

use std::{
    any::Any,
    collections::HashMap,
    convert::Infallible,
    error::Error,
    fmt::Write,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use http::{Request, Response};
use lethe_access::{Access, Caller, Denied, PrincipalToken};
use lethe_ambient::Entropy;
use lethe_proto::METHODS;
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tonic::{
    Code, Status,
    body::Body,
    service::Routes,
    transport::server::{TcpConnectInfo, TlsConnectInfo},
};
use tower::Service;
use tracing::{Instrument, Span, field::Empty, info_span};

use super::ServerConfig;
use crate::{CallContext, Env, Failure, Trace, call, names, telemetry, tls::certifies};

/// The layer before one service's routes. Clones share it.
#[derive(Clone)]
pub(crate) struct Shell(Arc<Inner>);

struct Inner {
    service: &'static str,
    routes: Routes,
    access: Access,
    entropy: Entropy,
    /// Path to span name, for all RPCs of ours.
    spans: HashMap<&'static str, Arc<str>>,
    other: Arc<str>,
    running: Semaphore,
    most: u32,
    stopping: AtomicBool,
    default_timeout: Duration,
    max_timeout: Duration,
    duration: Histogram<f64>,
    shed: Counter<u64>,
}

impl Shell {
    pub(super) fn new(service: &'static str, routes: Routes, env: &Env, config: &ServerConfig) -> Self {
        let meter = opentelemetry::global::meter("lethe");
        let spans = METHODS.iter().map(|rpc| (rpc.path, names::span_of(service, rpc.path).into())).collect();
        Self(Arc::new(Inner {
            service,
            routes,
            access: env.access.clone(),
            entropy: env.entropy.clone(),
            spans,
            other: format!("{service}.other").into(),
            running: Semaphore::new(config.max_concurrent_calls as usize),
            most: config.max_concurrent_calls,
            stopping: AtomicBool::new(false),
            default_timeout: Duration::from_millis(config.default_timeout_ms),
            max_timeout: Duration::from_millis(config.max_timeout_ms),
            duration: meter.f64_histogram(names::CALL_DURATION).with_unit("s").build(),
            shed: meter.u64_counter(names::CALLS_SHED).build(),
        }))
    }

    /// Answers a call. Never fails: an error is an answer.
    pub(crate) fn call<E: Send + 'static>(
        &self,
        request: Request<Body>,
    ) -> BoxFuture<'static, Result<Response<Body>, E>> {
        let inner = self.0.clone();
        let headers = request.headers();
        let request_id: Arc<str> = match call::request_id(headers) {
            Some(id) => id.into(),
            None => inner.entropy.uuid4().simple().to_string().into(),
        };
        let rpc = inner.spans.get(request.uri().path()).unwrap_or(&inner.other).clone();
        // Without a local parent: in the process as over a network, the parent is what the headers say.
        let span = info_span!(
            parent: None, "rpc", otel.name = &*rpc, otel.kind = "server", otel.status_code = Empty,
            request_id = &*request_id
        );
        let caller = Trace::of(headers);
        if let Some(trace) = caller {
            telemetry::set_parent(&span, trace);
        }
        let timeout = call::timeout(headers).unwrap_or(inner.default_timeout).min(inner.max_timeout);
        let started = Instant::now();
        let context = CallContext {
            principal: PrincipalToken::from_headers(headers),
            deadline: Some(started + timeout),
            request_id,
            trace: telemetry::trace_of(&span).or(caller),
        };
        let answer = async move {
            let (response, from) = inner.answer(request, context, started + timeout).await;
            inner.note(&rpc, from.as_ref(), &response, started);
            Ok(response)
        };
        Box::pin(answer.instrument(span))
    }

    /// Refuses new calls, and waits for the last running one.
    pub(super) async fn drain(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
        // The semaphore is never closed.
        let _ = self.0.running.acquire_many(self.0.most).await;
    }
}

impl Inner {
    async fn answer(
        &self,
        mut request: Request<Body>,
        context: CallContext,
        deadline: Instant,
    ) -> (Response<Body>, Option<Arc<str>>) {
        let stopping = || Failure::unavailable("STOPPING", "the process is stopping");
        let Ok(_running) = self.running.try_acquire() else {
            // The drain collects the permits, so that few are left while it waits.
            if self.stopping.load(Ordering::SeqCst) {
                return (refused(stopping()), None);
            }
            self.shed.add(1, &[KeyValue::new(names::SERVICE, self.service)]);
            let failure = Failure::exhausted("TOO_MANY_CALLS", "the service is busy; try again")
                .retry_after(Duration::from_millis(200));
            return (refused(failure), None);
        };
        // Looked at after the permit is had, so that the drain misses nobody.
        if self.stopping.load(Ordering::SeqCst) {
            return (refused(stopping()), None);
        }
        if deadline <= Instant::now() {
            return (refused(Failure::late()), None);
        }
        let caller = match self.access.authorize(request.uri().path(), request.headers()).await {
            Ok(caller) => caller,
            Err(denied) => return (Status::from(denied).into_http(), None),
        };
        let from = caller.as_ref().map(|caller| caller.service.clone());
        // Over mutual TLS, the token is of a service that the caller's certificate is for.
        let connection = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
        if let (Some(connection), Some(service)) = (connection, &from)
            && !connection
                .peer_certs()
                .is_some_and(|chain| chain.first().is_some_and(|own| certifies(own, service)))
        {
            return (Status::from(Denied::CERTIFICATE_OF_ANOTHER).into_http(), from);
        }
        let extensions = request.extensions_mut();
        extensions.insert(context);
        if let Some(caller) = caller {
            extensions.insert::<Caller>(caller);
        }
        let mut routes = self.routes.clone();
        let answer = AssertUnwindSafe(async move { routes.call(request).await }).catch_unwind();
        let response = match timeout_at(deadline, answer).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(never))) => match never {},
            Ok(Err(panic)) => refused(Failure::internal(text_of(&*panic))),
            Err(_) => refused(Failure::late()),
        };
        (response, from)
    }

    /// The access-log line, with what the operator must know of an error, and the measurement.
    fn note(&self, rpc: &Arc<str>, from: Option<&Arc<str>>, response: &Response<Body>, started: Instant) {
        let took = started.elapsed();
        let header = response.headers().get(Status::GRPC_STATUS);
        let code = header.map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
        let attributes =
            [KeyValue::new(names::RPC, rpc.clone()), KeyValue::new(names::CODE, i64::from(i32::from(code)))];
        self.duration.record(took.as_secs_f64(), &attributes);
        let caller = from.map(|name| &**name);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if code == Code::Ok {
            tracing::info!(rpc = &**rpc, caller, code = ?code, micros, "call");
            return;
        }
        let status = response.extensions().get::<Status>();
        let failure = status.map(Failure::from_status);
        let reason = failure.as_ref().map(|failure| &*failure.reason);
        let error = status.and_then(Error::source).map(chain);
        let error = error.as_deref();
        match code {
            Code::Internal | Code::Unknown | Code::DataLoss => {
                Span::current().record("otel.status_code", "ERROR");
                tracing::error!(rpc = &**rpc, caller, code = ?code, micros, reason, error, "call");
            }
            Code::Unavailable | Code::DeadlineExceeded => {
                tracing::warn!(rpc = &**rpc, caller, code = ?code, micros, reason, error, "call");
            }
            _ => tracing::info!(rpc = &**rpc, caller, code = ?code, micros, reason, error, "call"),
        }
    }
}

fn refused(failure: Failure) -> Response<Body> {
    Status::from(failure).into_http()
}

/// What a panic said, for the operator.
fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a text"))
}

/// An error with all its causes in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing into a String does not fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

impl Service<Request<Body>> for Shell {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Shell::call(self, request)
    }
}

impl std::fmt::Debug for Shell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Shell").field(&self.0.service).finish()
    }
}
