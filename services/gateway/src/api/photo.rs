//! A member's photo: bytes in and out, under the media type that they are, and a tag that says nothing of them.

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use lethe_ids::MemberId;
use lethe_proto::identity::{DeletePhotoRequest, GetPhotoRequest, SetPhotoRequest};

use crate::{
    body::NoBody,
    path::Id,
    picture::{Picture, PictureContent},
    problem::Problem,
    session::Acting,
};

/// Tags of one `If-None-Match` that are looked at.
const MOST_TAGS: usize = 16;

fn tag(tag: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::try_from(format!("\"{tag}\"")).map_err(Problem::internal)
}

/// Sets a member's photo: PNG, JPEG or WebP, at most 256 KiB.
#[utoipa::path(put, path = "/v1/members/{member_id}/photo", tag = "members",
    params(("member_id" = String, Path, description = "The member's id.", example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    request_body(content((PictureContent = "image/png"), (PictureContent = "image/jpeg"), (PictureContent = "image/webp"))),
    responses((status = 204, description = "The photo is set.", headers(("ETag" = String, description = "The photo's tag.")))),
    extensions(("x-lethe-rpc" = json!("SetPhoto"))))]
pub(crate) async fn set_photo(
    acting: Acting,
    Id(member): Id<MemberId>,
    photo: Picture,
) -> Result<(StatusCode, HeaderMap), Problem> {
    let request = SetPhotoRequest {
        member_id: member.to_string(),
        media_type: photo.media_type.to_owned(),
        photo: photo.content,
    };
    let answer = acting.persons().set_photo(request).await?.into_inner();
    Ok((StatusCode::NO_CONTENT, HeaderMap::from_iter([(header::ETAG, tag(&answer.tag)?)])))
}

/// Shows a member's photo.
#[utoipa::path(get, path = "/v1/members/{member_id}/photo", tag = "members",
    params(
        ("member_id" = String, Path, description = "The member's id.", example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa"),
        ("If-None-Match" = Option<String>, Header, description = "Tags of photos that the client has."),
    ),
    responses(
        (status = 200, content((PictureContent = "image/png"), (PictureContent = "image/jpeg"), (PictureContent = "image/webp")),
            headers(("ETag" = String, description = "The photo's tag."))),
        (status = 304, description = "The client has it."),
    ),
    extensions(("x-lethe-rpc" = json!("GetPhoto"))))]
pub(crate) async fn get_photo(
    acting: Acting,
    Id(member): Id<MemberId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let request = GetPhotoRequest { member_id: member.to_string(), unless_tags: tags(&headers) };
    let answer = acting.persons().get_photo(request).await?.into_inner();
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(header::ETAG, tag(&answer.tag)?);
    // Kept by the browser, but asked for each time: a photo that was erased is not shown again.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if answer.media_type.is_empty() {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    let media_type = HeaderValue::try_from(answer.media_type).map_err(Problem::internal)?;
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    *response.body_mut() = Body::from(answer.photo);
    Ok(response)
}

/// The tags of `If-None-Match` (RFC 9110, 13.1.2), compared weakly.
fn tags(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let tags = values.flat_map(|value| value.split(',')).filter_map(|tag| {
        let tag = tag.trim();
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag.strip_prefix('"')?.strip_suffix('"').map(str::to_owned)
    });
    tags.take(MOST_TAGS).collect()
}

/// Deletes a member's photo.
#[utoipa::path(delete, path = "/v1/members/{member_id}/photo", tag = "members",
    params(("member_id" = String, Path, description = "The member's id.", example = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 204, description = "The member has no photo.")),
    extensions(("x-lethe-rpc" = json!("DeletePhoto"))))]
pub(crate) async fn delete_photo(
    acting: Acting,
    Id(member): Id<MemberId>,
    _body: NoBody,
) -> Result<StatusCode, Problem> {
    acting.persons().delete_photo(DeletePhotoRequest { member_id: member.to_string() }).await?;
    Ok(StatusCode::NO_CONTENT)
}
