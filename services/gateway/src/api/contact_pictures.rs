//! The picture of a contact: sealed like everything about it, and gone with it.

use axum::response::Response;
use http::HeaderMap;
use lethe_ids::ContactId;
use lethe_proto::messaging::{
    DeleteContactPictureRequest, GetContactPictureRequest, PutContactPictureRequest,
};

use super::contacts::Contact;
use crate::{
    body::{NoBody, Reply},
    path::Id,
    picture::{self, Picture, PictureContent},
    problem::Problem,
    session::Acting,
};

/// Sets a contact's picture.
///
/// The content must be what `Content-Type` says, by its first bytes. The same picture again changes nothing.
#[utoipa::path(put, path = "/v1/contacts/{contact_id}/picture", tag = "contacts",
    params(("contact_id" = String, Path, description = "The contact's id.", example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    request_body(description = "The picture.", content(
        (PictureContent = "image/png"), (PictureContent = "image/jpeg"), (PictureContent = "image/webp"))),
    responses((status = 200, body = Contact)),
    extensions(("x-lethe-rpc" = json!("PutContactPicture"))))]
pub(crate) async fn put_contact_picture(
    acting: Acting,
    Id(contact): Id<ContactId>,
    picture: Picture,
) -> Result<Reply<Contact>, Problem> {
    let request = PutContactPictureRequest {
        contact_id: contact.to_string(),
        media_type: picture.media_type.to_owned(),
        content: picture.content,
    };
    Ok(Contact::reply(acting.contacts().put_contact_picture(request).await?.into_inner()))
}

/// Shows a contact's picture.
#[utoipa::path(get, path = "/v1/contacts/{contact_id}/picture", tag = "contacts",
    params(
        ("contact_id" = String, Path, description = "The contact's id.", example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of a picture that the client has: 304 when it still is the one."),
    ),
    responses(
        (status = 200, description = "The picture.", headers(("ETag" = String, description = "Another with each picture.")),
         content((PictureContent = "image/png"), (PictureContent = "image/jpeg"), (PictureContent = "image/webp"))),
        (status = 304, description = "It is the one that the client has."),
    ),
    extensions(("x-lethe-rpc" = json!("GetContactPicture"))))]
pub(crate) async fn get_contact_picture(
    acting: Acting,
    headers: HeaderMap,
    Id(contact): Id<ContactId>,
) -> Result<Response, Problem> {
    let request = GetContactPictureRequest { contact_id: contact.to_string() };
    let found = acting.contacts().get_contact_picture(request).await?.into_inner();
    Ok(picture::reply(&headers, &found.media_type, found.content, found.version))
}

/// Deletes a contact's picture.
#[utoipa::path(delete, path = "/v1/contacts/{contact_id}/picture", tag = "contacts",
    params(("contact_id" = String, Path, description = "The contact's id.", example = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Contact)),
    extensions(("x-lethe-rpc" = json!("DeleteContactPicture"))))]
pub(crate) async fn delete_contact_picture(
    acting: Acting,
    Id(contact): Id<ContactId>,
    _body: NoBody,
) -> Result<Reply<Contact>, Problem> {
    let request = DeleteContactPictureRequest { contact_id: contact.to_string() };
    Ok(Contact::reply(acting.contacts().delete_contact_picture(request).await?.into_inner()))
}
