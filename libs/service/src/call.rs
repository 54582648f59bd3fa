//! What travels with a call from service to service: for whom, until when, and under which request and trace.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue};
use lethe_access::PrincipalToken;
use lethe_ambient::Entropy;
use tokio::time::Instant;
use tonic::Request;

use crate::names;

/// The longest request id that is taken over; a longer one, or one with other characters, is replaced.
const LONGEST_REQUEST_ID: usize = 64;

/// What a call hands on to the calls that it makes. The server's layer puts it into the request's extensions.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// For whom; `None` when a service acts for itself.
    pub principal: Option<PrincipalToken>,
    /// When the caller stops waiting. Whatever is called for this call gets what is left of it.
    pub deadline: Option<Instant>,
    /// One for all that a request from outside, or a round of a job, sets off.
    pub request_id: Arc<str>,
    /// Where it belongs in a trace.
    pub trace: Option<Trace>,
}

impl CallContext {
    /// The context of the call that `request` is.
    ///
    /// # Panics
    /// When the request did not come through the server's layer, which is a defect of the assembly.
    pub fn of<T>(request: &Request<T>) -> &Self {
        request.extensions().get().expect("every call passes the server's layer")
    }

    /// A context for what a job does by itself.
    pub fn for_job(job: &str, entropy: &Entropy, timeout: Duration) -> Self {
        Self {
            principal: None,
            deadline: Some(Instant::now() + timeout),
            request_id: format!("{job}-{}", entropy.uuid4().simple()).into(),
            trace: Trace::current(),
        }
    }

    /// The same call without a person: a service's own errand.
    #[must_use]
    pub fn without_principal(mut self) -> Self {
        self.principal = None;
        self
    }

    /// The same call, but no longer than `timeout` from now.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        let end = Instant::now() + timeout;
        self.deadline = Some(self.deadline.map_or(end, |deadline| deadline.min(end)));
        self
    }

    /// How long the caller still waits.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Writes everything but the service token into the headers of a call.
    pub(crate) fn put(&self, headers: &mut HeaderMap) {
        if let Some(principal) = &self.principal
            && let Ok(token) = HeaderValue::from_bytes(principal.metadata().as_encoded_bytes())
        {
            headers.insert(lethe_access::PRINCIPAL, token);
        }
        if let Some(left) = self.remaining() {
            headers.insert(names::GRPC_TIMEOUT, timeout_value(left));
        }
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.insert(names::REQUEST_ID, id);
        }
        if let Some(trace) = self.trace {
            headers.insert(names::TRACEPARENT, trace.header());
        }
    }
}

/// The request id in the headers, if it is one that may stand in a log.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(names::REQUEST_ID)?.to_str().ok()?;
    let fits = (1..=LONGEST_REQUEST_ID).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    fits.then_some(id)
}

/// The `grpc-timeout` in the headers. One that cannot be read is none.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(names::GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3_600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

/// At most eight digits: milliseconds up to a day, else hours.
fn timeout_value(left: Duration) -> HeaderValue {
    let millis = left.as_millis();
    let text = if millis <= 99_999_999 {
        format!("{millis}m")
    } else {
        format!("{}H", (left.as_secs() / 3_600).min(99_999_999))
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("0m"))
}

/// A place in a trace: W3C trace context, version 00, without `tracestate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span that called.
    pub span_id: [u8; 8],
    /// Whether it is recorded.
    pub sampled: bool,
}

impl Trace {
    /// A new trace that is not recorded: it gives a request its `trace_id` where nobody collects.
    pub fn new(entropy: &Entropy) -> Self {
        Self { trace_id: entropy.bytes(), span_id: entropy.bytes(), sampled: false }
    }

    /// Reads `00-<32 hex>-<16 hex>-<2 hex>`.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 55 || &bytes[..3] != b"00-" || bytes[35] != b'-' || bytes[52] != b'-' {
            return None;
        }
        let (mut trace_id, mut span_id, mut flags) = ([0; 16], [0; 8], [0; 1]);
        unhex(&bytes[3..35], &mut trace_id)?;
        unhex(&bytes[36..52], &mut span_id)?;
        unhex(&bytes[53..], &mut flags)?;
        (trace_id != [0; 16] && span_id != [0; 8]).then_some(Self {
            trace_id,
            span_id,
            sampled: flags[0] & 1 == 1,
        })
    }

    /// The trace in the headers.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get(names::TRACEPARENT)?.to_str().ok()?)
    }

    /// The trace of the current span; `None` where traces are not collected.
    pub fn current() -> Option<Self> {
        crate::telemetry::trace_of(&tracing::Span::current())
    }

    /// `00-<32 hex>-<16 hex>-<2 hex>`.
    pub fn text(self) -> String {
        String::from_utf8_lossy(&self.encode()).into_owned()
    }

    /// The trace's id as 32 hex digits.
    pub fn trace_id_text(self) -> String {
        String::from_utf8_lossy(&self.encode()[3..35]).into_owned()
    }

    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_bytes(&self.encode()).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    fn encode(self) -> [u8; 55] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex(&self.trace_id, &mut text[3..35]);
        hex(&self.span_id, &mut text[36..52]);
        hex(&[u8::from(self.sampled)], &mut text[53..]);
        text
    }
}

fn hex(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn unhex(text: &[u8], bytes: &mut [u8]) -> Option<()> {
    let digit = |letter: u8| match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    };
    for (pair, byte) in text.chunks_exact(2).zip(bytes) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(())
}
