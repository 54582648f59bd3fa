//! [`Failure`]: the one error that crosses gRPC. It has two texts: `message` for the caller, which never holds
//! anything personal, and `source` for the operator, which never leaves the process and is logged once, by the
//! server's layer. `reason` is stable and machine-readable (`LEGAL_HOLD_ACTIVE`).
//!
//! On the wire it is a `google.rpc.Status` with `ErrorInfo` (domain `lethe`), `BadRequest` and `RetryInfo`.

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// `ErrorInfo.domain` of every failure of ours.
pub const DOMAIN: &str = "lethe";

/// Why a call failed: code and reason for programs, a message for the caller, a source for the operator.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The gRPC code.
    pub code: Code,
    /// Stable, in capitals: `LEGAL_HOLD_ACTIVE`.
    pub reason: Cow<'static, str>,
    /// For the caller. Nothing personal, no value of a field.
    pub message: String,
    /// The field that is wrong, as a path in the request: `page.after`.
    pub field: Option<String>,
    /// For the operator.
    pub source: Option<Arc<dyn Error + Send + Sync>>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure without field, source and retry.
    pub fn new(code: Code, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            message: message.into(),
            field: None,
            source: None,
            retry_after: None,
        }
    }

    /// INVALID_ARGUMENT: `field` does not fit; `message` says why, without its value.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        let mut failure = Self::new(Code::InvalidArgument, "FIELD_INVALID", message);
        failure.field = Some(field.into());
        failure
    }

    /// NOT_FOUND with the reason `<NOUN>_NOT_FOUND`: there is no such thing, or it is somebody else's.
    pub fn not_found(noun: &str) -> Self {
        let reason = format!("{}_NOT_FOUND", noun.to_uppercase().replace([' ', '-'], "_"));
        Self::new(Code::NotFound, reason, format!("there is no such {}", noun.replace('_', " ")))
    }

    /// NOT_FOUND with the reason `<NOUN>_GONE`: a request that created is repeated, and what it made is there no more.
    pub fn gone(noun: &str) -> Self {
        let reason = format!("{}_GONE", noun.to_uppercase().replace([' ', '-'], "_"));
        Self::new(
            Code::NotFound,
            reason,
            format!("the {} that this request made is gone", noun.replace('_', " ")),
        )
    }

    /// ALREADY_EXISTS: two wanted the same.
    pub fn conflict(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::AlreadyExists, reason, message)
    }

    /// FAILED_PRECONDITION: not in this state.
    pub fn precondition(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::FailedPrecondition, reason, message)
    }

    /// ABORTED: the version that the caller saw is not the current one.
    pub fn aborted(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::Aborted, reason, message)
    }

    /// ABORTED: the caller's `if_version` is not the current one.
    pub fn version_mismatch() -> Self {
        Self::aborted("VERSION_MISMATCH", "it was changed meanwhile").at("if_version")
    }

    /// INVALID_ARGUMENT: the idempotency key came before, with another request.
    pub fn key_reused() -> Self {
        let reused = Self::invalid("idempotency.key", "was used with another request");
        Self { reason: "IDEMPOTENCY_KEY_REUSED".into(), ..reused }
    }

    /// FAILED_PRECONDITION with the reason `TOO_MANY_<NOUNS>`: there are as many as there may be, however long one waits.
    pub fn too_many(nouns: &str) -> Self {
        let reason = format!("TOO_MANY_{}", nouns.to_uppercase());
        let message = format!("there are as many {} as there may be", nouns.replace('_', " "));
        Self::new(Code::FailedPrecondition, reason, message)
    }

    /// FAILED_PRECONDITION: a participant of an erasure is asked about a scope that was never fenced there.
    pub fn not_fenced() -> Self {
        Self::precondition("NOT_FENCED", "the scope is not fenced here")
    }

    /// INVALID_ARGUMENT: the census of a scope does not open under the key that was given.
    pub fn census_closed(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::invalid("census_key", "does not open the census").caused_by(source)
    }

    /// PERMISSION_DENIED.
    pub fn permission(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, reason, message)
    }

    /// UNAUTHENTICATED.
    pub fn unauthenticated(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, reason, message)
    }

    /// RESOURCE_EXHAUSTED: a limit is reached.
    pub fn exhausted(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::ResourceExhausted, reason, message)
    }

    /// UNAVAILABLE: something we need is away; the same call may succeed later.
    pub fn unavailable(reason: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Code::Unavailable, reason, "is not available right now; try again")
            .caused_by(source)
            .retry_after(Duration::from_secs(1))
    }

    /// DEADLINE_EXCEEDED: the caller's time is over. Whether the work was done is unknown.
    pub fn late() -> Self {
        Self::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "took too long")
    }

    /// INTERNAL: a defect, or a store that broke its word.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Code::Internal, "INTERNAL", "failed; the operator can find it by the request id")
            .caused_by(source)
    }

    /// Names the field that is wrong.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Adds what the operator must know.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// What another service answered. Its message is passed on, its reason too; a status that is not of ours (a
    /// broken connection, a deadline) gets a reason from its code.
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let ours = details.error_info().filter(|info| info.domain == DOMAIN);
        let reason = match ours {
            Some(info) => Cow::Owned(info.reason.clone()),
            None => Cow::Borrowed(reason_of(status.code())),
        };
        let message = match (ours, status.code()) {
            // What tonic or hyper say of a broken connection names addresses: for the operator alone.
            (None, Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled) => {
                "is not available right now; try again".to_owned()
            }
            _ => status.message().to_owned(),
        };
        let mut failure = Self::new(status.code(), reason, message);
        failure.field = details
            .bad_request()
            .and_then(|request| request.field_violations.first())
            .map(|violation| violation.field.clone());
        failure.retry_after = details.retry_info().and_then(|retry| retry.retry_delay);
        failure.source = Some(Arc::new(status.clone()));
        failure
    }
}

/// The reason of a status that did not come from our code.
fn reason_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "REQUEST_INVALID",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "LIMIT_REACHED",
        Code::FailedPrecondition => "PRECONDITION_FAILED",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "SERVICE_UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

impl fmt::Display for Failure {
    /// Reason and message; never the source.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let mut details =
            ErrorDetails::with_error_info(failure.reason, DOMAIN, std::collections::HashMap::new());
        if let Some(field) = failure.field {
            details.add_bad_request_violation(field, failure.message.clone());
        }
        if failure.retry_after.is_some() {
            details.set_retry_info(failure.retry_after);
        }
        let mut status = Status::with_error_details(failure.code, failure.message, details);
        if let Some(source) = failure.source {
            status.set_source(source);
        }
        status
    }
}

/// SQLSTATEs that say "not now": lost connections (08), too many of them (53300), a server that starts or stops
/// (57P01 to 57P03), transactions that met another (40001, 40P01, 55P03), and statements or transactions that took
/// longer than PostgreSQL was told to bear (57014, 25P03).
const NOT_NOW: [&str; 9] = ["53300", "57P01", "57P02", "57P03", "40001", "40P01", "55P03", "57014", "25P03"];

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let not_now = match &error {
            sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed
            | sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_) => true,
            sqlx::Error::Database(error) => {
                error.code().is_some_and(|code| code.starts_with("08") || NOT_NOW.contains(&&*code))
            }
            _ => false,
        };
        if not_now { Self::unavailable("DATABASE_UNAVAILABLE", error) } else { Self::internal(error) }
    }
}
