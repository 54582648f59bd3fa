//! What every request passes, written out as one layer because it stands on the hot path: request id, trace, limit on
//! requests at once, `Accept`, deadline, panic; and on the way back the problem's body, headers, one access-log line and
//! one measurement. Neither names a path, a query or an address: the route's template says enough.

pub(crate) mod address;

use std::{
    any::Any,
    error::Error,
    fmt::Write,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use lethe_service::{CallContext, Trace, names, telemetry};
use opentelemetry::KeyValue;
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tracing::{Instrument, Span, info_span};

use crate::{
    App,
    edge::address::Peer,
    problem::{self, Problem},
};

/// Headers of every answer that says nothing else: nothing is kept, framed, sniffed or loaded.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The layer.
pub(crate) async fn edge(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let headers = request.headers();
    // Always our own: a client's could name a person, and it reaches logs and the audit trail.
    let request_id: Arc<str> = app.entropy().uuid7(app.clock()).simple().to_string().into();
    let method = word_of(request.method());
    let route: Arc<str> =
        request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).into();
    let span = info_span!(
        "http",
        otel.name = &*route,
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        http.request.method = method,
        http.route = &*route,
        http.response.status_code = tracing::field::Empty,
        request_id = &*request_id,
    );
    let caller = Trace::of(headers);
    if let Some(caller) = caller {
        telemetry::set_parent(&span, caller);
    }
    let trace = telemetry::trace_of(&span).or(caller).unwrap_or_else(|| Trace::new(app.entropy()));
    let peer = request.extensions().get::<Peer>().copied();
    let client = address::client(peer, headers, &app.config().trusted_proxies);
    let deadline = started + app.config().request_timeout();
    let accepts = accepts_json(&route, headers);
    let context = CallContext {
        principal: None,
        deadline: Some(deadline),
        request_id: request_id.clone(),
        trace: Some(trace),
    };
    request.extensions_mut().insert(context);
    request.extensions_mut().insert(client);

    let answer = async {
        let mut response = match app.begin(&route) {
            None => Problem::overloaded().into_response(),
            Some(_) if !accepts => not_acceptable().into_response(),
            Some(_running) => {
                match timeout_at(deadline, AssertUnwindSafe(next.run(request)).catch_unwind()).await {
                    Ok(Ok(response)) => response,
                    Ok(Err(panic)) => Problem::internal(text_of(&*panic)).into_response(),
                    Err(_) => Problem::timed_out().into_response(),
                }
            }
        };
        finish(&mut response, &request_id, trace);
        note(&app, method, &route, &response, started);
        response
    };
    answer.instrument(span).await
}

/// Requests that run at the moment.
#[derive(Debug, Default)]
pub(crate) struct Running(AtomicUsize);

/// One of them; ends when it is dropped.
pub(crate) struct Begun<'a>(Option<&'a Running>);

impl Running {
    /// `None` when `most` run already.
    pub(crate) fn begin(&self, most: usize) -> Option<Begun<'_>> {
        let begun = Begun(Some(self));
        if self.0.fetch_add(1, Ordering::Relaxed) < most { Some(begun) } else { None }
    }
}

impl Begun<'_> {
    /// One that is not counted: whether we live is also answered when we have too much to do.
    pub(crate) fn uncounted() -> Self {
        Self(None)
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Some(running) = self.0 {
            running.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Writes the problem's body and the headers that every answer has.
fn finish(response: &mut Response, request_id: &str, trace: Trace) {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let body = problem.render(request_id, &trace.trace_id_text());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(problem::MEDIA_TYPE));
        *response.body_mut() = Body::from(body);
        response.extensions_mut().insert(problem);
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(names::REQUEST_ID, id);
    }
    if let Ok(trace) = HeaderValue::try_from(trace.text()) {
        headers.insert(names::TRACEPARENT, trace);
    }
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// The access-log line, with what the operator must know of a failure, and the measurement.
fn note(app: &App, method: &'static str, route: &Arc<str>, response: &Response, started: Instant) {
    let took = started.elapsed();
    let status = response.status().as_u16();
    let attributes = [
        KeyValue::new("http.request.method", method),
        KeyValue::new("http.route", route.clone()),
        KeyValue::new("http.response.status_code", i64::from(status)),
    ];
    app.duration().record(took.as_secs_f64(), &attributes);
    let span = Span::current();
    span.record("http.response.status_code", status);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let route = &**route;
    let problem = response.extensions().get::<Problem>();
    let code = problem.map(Problem::code);
    let error = problem.and_then(Problem::source).map(|source| chain(source));
    let error = error.as_deref();
    match status {
        500 | 501 => {
            span.record("otel.status_code", "ERROR");
            tracing::error!(method, route, status, micros, code, error, "request");
        }
        502.. => tracing::warn!(method, route, status, micros, code, error, "request"),
        _ => tracing::info!(method, route, status, micros, code, "request"),
    }
}

/// Whether the client takes JSON, which is all that `/v1` has.
fn accepts_json(route: &str, headers: &HeaderMap) -> bool {
    if !route.starts_with("/v1/") || has_another_type(route) {
        return true;
    }
    let mut ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','));
    let mut none = true;
    let accepted = ranges.any(|range| {
        none = false;
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let fits = ["*/*", "application/*", "application/json", problem::MEDIA_TYPE]
            .iter()
            .any(|json| media.eq_ignore_ascii_case(json));
        let refused = parts.any(|parameter| {
            let weight = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
            weight.and_then(|weight| weight.parse::<f32>().ok()).is_some_and(|weight| weight <= 0.0)
        });
        fits && !refused
    });
    none || accepted
}

/// What answers with a picture, which a browser asks for with the types that it can show; or with a file in the form that its
/// query names.
fn has_another_type(route: &str) -> bool {
    ["/picture", "/photo", "/self/data"].iter().any(|end| route.ends_with(end))
}

fn not_acceptable() -> Problem {
    Problem::new(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", "answers in application/json alone")
        .at("Accept")
}

/// What a panic said, for the operator.
fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a text"))
}

/// An error with all its causes in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        if !text.is_empty() {
            text.push_str(": ");
        }
        // Writing into a String does not fail. A status would also print its details byte by byte.
        let _infallible = match error.downcast_ref::<Status>() {
            Some(status) => write!(text, "{:?}: {}", status.code(), status.message()),
            None => write!(text, "{error}"),
        };
        next = error.source();
    }
    text
}

/// The method as attributes have it: whatever a client makes up is `_OTHER` (OpenTelemetry's conventions).
fn word_of(method: &Method) -> &'static str {
    const KNOWN: [Method; 7] = [
        Method::GET,
        Method::POST,
        Method::PATCH,
        Method::PUT,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ];
    const WORDS: [&str; 7] = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.iter().zip(WORDS).find(|(known, _)| *known == method).map_or("_OTHER", |(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_accepted_unless_the_client_says_otherwise() {
        let accepts = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(text));
            accepts_json("/v1/contacts", &headers)
        };
        assert!(accepts_json("/v1/contacts", &HeaderMap::new()));
        for good in ["*/*", "application/json", "text/html, application/*;q=0.8", "Application/JSON"] {
            assert!(accepts(good), "{good}");
        }
        for bad in ["text/html", "application/xml", "application/json;q=0", "text/html, image/*"] {
            assert!(!accepts(bad), "{bad}");
        }
    }

    #[test]
    fn only_so_many_run_at_once() {
        let running = Running::default();
        let first = running.begin(1);
        assert!(first.is_some() && running.begin(1).is_none() && running.begin(1).is_none());
        drop(first);
        assert!(running.begin(1).is_some());
    }
}
