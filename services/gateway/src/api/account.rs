//! The member who asks.

use http::StatusCode;
use lethe_proto::identity::{ChangePasswordRequest, GetSelfRequest, UpdateSelfRequest};
use serde::Deserialize;
use utoipa::ToSchema;

use super::members::Member;
use crate::{
    body::{Json, Reply},
    json::{Change, Text, given},
    precondition::IfMatch,
    problem::Problem,
    session::Acting,
};

/// Shows the member who asks.
#[utoipa::path(get, path = "/v1/self", tag = "account",
    responses((status = 200, body = Member)),
    extensions(("x-lethe-rpc" = json!("GetSelf"))))]
pub(crate) async fn get_self(acting: Acting) -> Result<Reply<Member>, Problem> {
    let member = acting.identity().get_self(GetSelfRequest {}).await?.into_inner();
    Ok(Member::reply(member))
}

/// What the member corrects of himself; absent fields stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada.king@acme.example", "current_password": "correct horse battery"}))]
pub(crate) struct SelfChange {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false)]
    name: Option<Text>,
    /// It is what one logs in by: only with `current_password`.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false)]
    email: Option<Text>,
    /// E.164; `null` clears it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    phone: Change<Text>,
    /// Goes with `email`.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, format = Password, nullable = false)]
    current_password: Option<Text>,
}

/// Corrects the name, e-mail address or phone of the member who asks.
#[utoipa::path(patch, path = "/v1/self", tag = "account", params(IfMatch),
    responses((status = 200, body = Member)),
    extensions(("x-lethe-rpc" = json!("UpdateSelf"))))]
pub(crate) async fn update_self(
    acting: Acting,
    IfMatch(if_version): IfMatch,
    Json(body): Json<SelfChange>,
) -> Result<Reply<Member>, Problem> {
    let request = UpdateSelfRequest {
        name: body.name.map(|name| name.0),
        email: body.email.map(|email| email.0),
        phone: body.phone.or_empty().map(|phone| phone.0),
        current_password: body.current_password.unwrap_or_default().0,
        if_version,
    };
    Ok(Member::reply(acting.persons().update_self(request).await?.into_inner()))
}

/// The old and the new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"current_password": "correct horse battery", "new_password": "staple and then some"}))]
pub(crate) struct NewPassword {
    #[schema(value_type = String, format = Password)]
    current_password: Text,
    /// 12 to 256 characters.
    #[schema(value_type = String, format = Password, min_length = 12, max_length = 256)]
    new_password: Text,
}

/// Sets a new password, and ends all other sessions of the member.
#[utoipa::path(put, path = "/v1/self/password", tag = "account",
    responses((status = 204, description = "The password is changed.")),
    extensions(("x-lethe-rpc" = json!("ChangePassword"))))]
pub(crate) async fn change_password(
    acting: Acting,
    Json(body): Json<NewPassword>,
) -> Result<StatusCode, Problem> {
    let request = ChangePasswordRequest {
        current_password: body.current_password.0,
        new_password: body.new_password.0,
    };
    acting.identity().change_password(request).await?;
    // With a one-time password gone, this session may do more than its principal says.
    acting.app.sessions().refresh(&acting.session).await;
    Ok(StatusCode::NO_CONTENT)
}
