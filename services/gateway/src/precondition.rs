//! The headers that a change must bring: `Idempotency-Key`, so that it can be repeated, and `If-Match`, so that nobody
//! overwrites what he has not seen.

use axum::extract::FromRequestParts;
use http::{StatusCode, header, request::Parts};
use lethe_proto::request::Idempotency;
use utoipa::IntoParams;

use crate::{App, problem::Problem};

/// Makes a creating request safe to repeat: the same key and body answer the same resource.
#[derive(IntoParams)]
#[into_params(names("Idempotency-Key"), parameter_in = Header)]
pub(crate) struct IdempotencyKey(
    /// Chosen by the client for this one creation, 1 to 64 characters of `[A-Za-z0-9_-]`. Sent again with the same
    /// body it answers the same resource as it is now (410 when that was erased); with another body 422; while the
    /// first is still at work 409.
    #[param(
        inline,
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9_-]+$",
        example = "order-4711-reply-1"
    )]
    String,
);

impl IdempotencyKey {
    /// As the services have it.
    pub(crate) fn idempotency(self) -> Option<Idempotency> {
        Some(Idempotency { key: self.0 })
    }
}

impl FromRequestParts<App> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let wrong = |code, detail: &'static str| Problem::bad_request(code, detail).at("Idempotency-Key");
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else {
            return Err(wrong("IDEMPOTENCY_KEY_REQUIRED", "is missing: choose one for each creation"));
        };
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let bytes = value.as_bytes();
        if values.next().is_some() || !(1..=64).contains(&bytes.len()) || !bytes.iter().all(fits) {
            return Err(wrong(
                "IDEMPOTENCY_KEY_INVALID",
                "must be one key of 1 to 64 characters of [A-Za-z0-9_-]",
            ));
        }
        Ok(Self(String::from_utf8_lossy(bytes).into_owned()))
    }
}

/// The version that the client saw.
#[derive(IntoParams)]
#[into_params(names("If-Match"), parameter_in = Header)]
pub(crate) struct IfMatch(
    /// The `ETag` of the version that is to be changed. Missing: 428; no longer the current one: 412.
    #[param(inline, value_type = String, pattern = "^\"[0-9]+\"$", example = "\"3\"")]
    pub(crate) u64,
);

impl FromRequestParts<App> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(header::IF_MATCH).iter();
        let Some(value) = values.next() else {
            return Err(Problem::new(
                StatusCode::PRECONDITION_REQUIRED,
                "VERSION_REQUIRED",
                "is missing: read first, and send the ETag of what you read",
            )
            .at("If-Match"));
        };
        let text = value.to_str().unwrap_or_default().trim();
        // `*` would overwrite whatever is there: what this header is here to prevent.
        if values.next().is_some() || text == "*" || text.contains(',') {
            return Err(
                Problem::bad_request("IF_MATCH_INVALID", "must be one ETag, as it was read").at("If-Match")
            );
        }
        // A weak tag never matches (RFC 9110, 13.1.1), and what is no tag of ours is no version there ever was.
        let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let digits = inner.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        match digits.and_then(|digits| digits.parse().ok()) {
            Some(version) if version > 0 => Ok(Self(version)),
            _ => Err(Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "VERSION_MISMATCH",
                "is not the current version; read it again",
            )
            .at("If-Match")),
        }
    }
}
