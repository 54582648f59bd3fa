//! JSON in and out. [`Json`] reads a body strictly: its media type, its size, UTF-8, and nothing but the fields of the
//! request. What does not fit is a problem that names the field, before anything is called.

use std::fmt::Display;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{App, problem::Problem, unfit};

/// A body that was read.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        require_json(request.headers())?;
        let (parts, body) = request.into_parts();
        read(&collect(&parts.headers, body, app.body_limit(), app).await?).map(Self)
    }
}

/// No body, or an empty object.
pub(crate) struct NoBody;

impl FromRequest<App> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}

        let media_type = require_json(request.headers());
        let (parts, body) = request.into_parts();
        let bytes = collect(&parts.headers, body, app.body_limit(), app).await?;
        if !bytes.is_empty() {
            media_type?;
            let Nothing {} = read(&bytes)?;
        }
        Ok(Self)
    }
}

/// `application/json`, also as a merge patch (RFC 7396), in UTF-8.
fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    require(headers, ["application/json", "application/merge-patch+json"])
}

/// One of two media types, in UTF-8 and not packed; a problem names the first.
pub(crate) fn require(headers: &HeaderMap, known: [&'static str; 2]) -> Result<(), Problem> {
    let unsupported = || {
        let detail = format!("must be {}", known[0]);
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "MEDIA_TYPE_UNSUPPORTED", detail)
            .at("Content-Type")
            .with_header(header::ACCEPT, HeaderValue::from_static(known[0]))
    };
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(unsupported().at("Content-Encoding"));
    }
    let text =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).ok_or_else(unsupported)?;
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let charset = parameters.trim();
    let is_utf8 = charset.is_empty()
        || ["charset=utf-8", "charset=\"utf-8\""].iter().any(|utf8| charset.eq_ignore_ascii_case(utf8));
    if is_utf8 && known.iter().any(|known| essence.trim().eq_ignore_ascii_case(known)) {
        Ok(())
    } else {
        Err(unsupported())
    }
}

/// All bytes of the body, at most `limit`, and in time.
///
/// # Errors
/// 413, 408, 400.
pub(crate) async fn collect(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    app: &App,
) -> Result<Bytes, Problem> {
    // What is left of the body is not read: the connection cannot be used again.
    let close = |problem: Problem| problem.with_header(header::CONNECTION, HeaderValue::from_static("close"));
    let too_large = || {
        let detail = format!("is longer than {limit} bytes");
        close(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", detail))
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    match timeout(app.config().body_timeout(), Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::bad_request("BODY_INCOMPLETE", "ended too early")),
        Err(_) => {
            Err(close(Problem::new(StatusCode::REQUEST_TIMEOUT, "BODY_TOO_SLOW", "did not arrive in time")))
        }
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Problem::bad_request("BODY_NOT_UTF8", "is not valid UTF-8"))?;
    unfit::read(text).map_err(|unfit| {
        let status =
            if unfit.is_of_a_field() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        let problem = Problem::new(status, unfit.code, unfit.detail);
        match unfit.field {
            Some(field) => problem.at(field),
            None => problem,
        }
    })
}

/// An answer in JSON.
pub(crate) struct Reply<T> {
    status: StatusCode,
    headers: HeaderMap,
    body: T,
}

impl<T: Serialize> Reply<T> {
    /// 200.
    pub(crate) fn ok(body: T) -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), body }
    }

    /// 201, with the resource's place; the same when the request came before.
    pub(crate) fn created(body: T, location: impl Display) -> Self {
        Self { status: StatusCode::CREATED, ..Self::ok(body) }.with_location(location)
    }

    /// 202, with the place where it can be followed.
    pub(crate) fn accepted(body: T, location: impl Display) -> Self {
        Self { status: StatusCode::ACCEPTED, ..Self::ok(body) }.with_location(location)
    }

    /// The strong entity tag of this version (RFC 9110), for `If-Match`.
    pub(crate) fn with_version(self, version: u64) -> Self {
        match HeaderValue::try_from(format!("\"{version}\"")) {
            Ok(tag) => self.with_header(header::ETAG, tag),
            Err(_) => self,
        }
    }

    /// Adds a header.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    fn with_location(self, location: impl Display) -> Self {
        match HeaderValue::try_from(location.to_string()) {
            Ok(location) => self.with_header(header::LOCATION, location),
            Err(_) => self,
        }
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.body) {
            Ok(bytes) => {
                let mut response = Response::new(Body::from(bytes));
                *response.status_mut() = self.status;
                *response.headers_mut() = self.headers;
                response
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
            Err(error) => Problem::internal(error).into_response(),
        }
    }
}

/// JSON that was written elsewhere, handed on byte by byte.
pub(crate) fn json_bytes(bytes: Bytes) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response()
}
