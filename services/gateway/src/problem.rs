//! Everything that goes wrong leaves as a problem (RFC 9457): `type`, `title`, `status`, `detail`, a stable `code`, the
//! request's and the trace's id, and the name of the field that does not fit, never its value.
//!
//! The surprising thing: a [`Problem`] answers without a body. The edge (`edge.rs`) knows the ids, writes the body, and
//! logs what the operator must know, once.

use std::{borrow::Cow, error::Error, sync::Arc, time::Duration};

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use lethe_service::Failure;
use serde::Serialize;
use tonic::{Code, Status};
use utoipa::ToSchema;

/// The media type of a problem.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request is not answered with what it asked for.
#[derive(Debug, Clone)]
pub(crate) struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: Cow<'static, str>,
    field: Option<String>,
    retry_after: Option<Duration>,
    headers: HeaderMap,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// A problem as the client reads it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "urn:lethe:problem:field_invalid", "title": "Unprocessable Content", "status": 422,
    "detail": "is not an id that begins with con_", "code": "FIELD_INVALID",
    "request_id": "01998f2ac3e47b0f8a5d2f60b1c9e7aa", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "field": "contact_id"
}))]
pub(crate) struct Body<'a> {
    /// `urn:lethe:problem:` and the code in lower case.
    #[serde(rename = "type")]
    kind: String,
    /// The meaning of the status.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What happened, for people. Holds no value of the request.
    detail: &'a str,
    /// Stable and machine-readable: `LEGAL_HOLD_ACTIVE`.
    code: &'a str,
    /// The request's id, as in the header `x-request-id`: tell it the operator.
    request_id: &'a str,
    /// The trace's id (W3C trace context).
    trace_id: &'a str,
    /// The field, parameter or header that does not fit: `wait_for.seq`, `limit`, `If-Match`.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl Problem {
    /// A problem without field and headers.
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Inner {
            status,
            code: code.into(),
            detail: detail.into(),
            field: None,
            retry_after: None,
            headers: HeaderMap::new(),
            source: None,
        }))
    }

    /// 400: the request cannot be read.
    pub(crate) fn bad_request(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 401, with the challenge that RFC 9110 demands.
    pub(crate) fn unauthenticated(
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"lethe\""))
    }

    /// 500: a defect, which the operator finds by the request's id.
    pub(crate) fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let mut problem = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL",
            "failed; the operator can find it by the request id",
        );
        problem.0.source = Some(Arc::from(source.into()));
        problem
    }

    /// 503 because of too much at a time.
    pub(crate) fn overloaded() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", "too many requests at a time; try again")
            .retry_after(Duration::from_secs(1))
    }

    /// 504.
    pub(crate) fn timed_out() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "DEADLINE_EXCEEDED",
            "took too long; it may still have happened",
        )
    }

    /// Names the field, parameter or header.
    #[must_use]
    pub(crate) fn at(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub(crate) fn retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Stable and machine-readable.
    pub(crate) fn code(&self) -> &str {
        &self.0.code
    }

    /// What the operator must know; `None` where the client is to blame.
    pub(crate) fn source(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.0.source.as_deref().filter(|_| self.0.status.is_server_error())
    }

    /// The body.
    pub(crate) fn render(&self, request_id: &str, trace_id: &str) -> Vec<u8> {
        let body = Body {
            kind: format!("urn:lethe:problem:{}", self.0.code.to_ascii_lowercase()),
            title: self.0.status.canonical_reason().unwrap_or("Unknown"),
            status: self.0.status.as_u16(),
            detail: &self.0.detail,
            code: &self.0.code,
            request_id,
            trace_id,
            field: self.0.field.as_deref(),
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.headers_mut().extend(self.0.headers.clone());
        if let Some(after) = self.0.retry_after {
            // Rounded up: who comes back too early is sent away again.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.max(1).into());
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        Failure::from_status(&status).into()
    }
}

/// What a service answered, in HTTP's words.
impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let reason = failure.reason.as_ref();
        // The tokens between the services are not the client's business.
        if reason.starts_with("SERVICE_TOKEN_") || reason == "CALLER_NOT_ALLOWED" {
            return Self::internal(failure);
        }
        if reason.starts_with("PRINCIPAL_") {
            return Self::unauthenticated("SESSION_INVALID", "the session is not valid; log in again");
        }
        if failure.field.as_deref() == Some("page.after") {
            return Self::bad_request("CURSOR_INVALID", "is not a cursor of this list").at("after");
        }
        let status = status_of(failure.code, reason);
        let mut problem = match status {
            StatusCode::UNAUTHORIZED => {
                Self::unauthenticated(failure.reason.clone(), failure.message.clone())
            }
            StatusCode::INTERNAL_SERVER_ERROR => Self::internal(failure.clone()),
            _ => Self::new(status, failure.reason.clone(), failure.message.clone()),
        };
        problem.0.field = failure.field.as_deref().map(outside_name);
        problem.0.retry_after = failure.retry_after.or(match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some(Duration::from_secs(1)),
            _ => None,
        });
        problem.0.source = Some(Arc::new(failure));
        problem
    }
}

/// The status of a service's answer. A few reasons say more than their gRPC code.
fn status_of(code: Code, reason: &str) -> StatusCode {
    match reason {
        "IDEMPOTENCY_KEY_REUSED" => return StatusCode::UNPROCESSABLE_ENTITY,
        "VERSION_REQUIRED" => return StatusCode::PRECONDITION_REQUIRED,
        "VERSION_MISMATCH" => return StatusCode::PRECONDITION_FAILED,
        "TOO_MANY_CALLS" | "LOG_IN_BUSY" => return StatusCode::SERVICE_UNAVAILABLE,
        _ if reason.ends_with("_GONE") || reason.ends_with("_ERASED") => return StatusCode::GONE,
        _ => {}
    }
    match code {
        Code::InvalidArgument | Code::OutOfRange => StatusCode::UNPROCESSABLE_ENTITY,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::FailedPrecondition => StatusCode::CONFLICT,
        Code::Aborted => StatusCode::PRECONDITION_FAILED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable | Code::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What the client calls a field of a gRPC request.
fn outside_name(field: &str) -> String {
    match field {
        "page.limit" => "limit",
        "idempotency.key" | "idempotency" => "Idempotency-Key",
        "if_version" => "If-Match",
        "tenant_slug" => "tenant",
        "tags.values" => "tags",
        _ => field.strip_prefix("profile.").unwrap_or(field),
    }
    .to_owned()
}
