//! Pictures in and out: bytes as they are, of three media types and small. Whether the bytes are what they are called,
//! their owning service says.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, schema::Type},
};

use crate::{App, body::collect, problem::Problem};

/// Most bytes of a picture.
pub(crate) const MOST_BYTES: usize = 256 * 1024;
const MEDIA_TYPES: [&str; 3] = ["image/png", "image/jpeg", "image/webp"];

/// How a picture stands in the document.
pub(crate) struct PictureContent;

impl PartialSchema for PictureContent {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .description(Some("The bytes of a PNG, JPEG or WebP picture, at most 256 KiB."))
            .into()
    }
}
impl ToSchema for PictureContent {}

/// A picture that was sent.
pub(crate) struct Picture {
    pub(crate) media_type: &'static str,
    pub(crate) content: Bytes,
}

impl FromRequest<App> for Picture {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let given = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let known =
            |given: &str| MEDIA_TYPES.into_iter().find(|known| given.trim().eq_ignore_ascii_case(known));
        let media_type = given.and_then(known).ok_or_else(|| {
            Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "MEDIA_TYPE_UNSUPPORTED",
                "must be image/png, image/jpeg or image/webp",
            )
            .at("Content-Type")
            .with_header(header::ACCEPT, HeaderValue::from_static("image/png, image/jpeg, image/webp"))
        })?;
        Ok(Self { media_type, content: collect(&parts.headers, body, MOST_BYTES, app).await? })
    }
}

/// A picture as it is, with its entity tag; 304 when the client has it already (RFC 9110, 13.1.2).
pub(crate) fn reply(asked: &HeaderMap, media_type: &str, content: Bytes, version: u64) -> Response {
    let tag = format!("\"{version}\"");
    let has = |value: &HeaderValue| {
        let mut tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
        tags.any(|one| one == "*" || one.trim_start_matches("W/") == tag)
    };
    let (Ok(media_type), Ok(etag)) = (HeaderValue::try_from(media_type), HeaderValue::try_from(&tag)) else {
        return Problem::internal("a picture without a media type").into_response();
    };
    // Kept by the browser, but asked for each time: a picture that was erased is not shown again.
    let kept = (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if asked.get_all(header::IF_NONE_MATCH).iter().any(has) {
        return (StatusCode::NOT_MODIFIED, [kept, (header::ETAG, etag)]).into_response();
    }
    ([kept, (header::CONTENT_TYPE, media_type), (header::ETAG, etag)], content).into_response()
}
