//! The member who asks.

use http::StatusCode;
use lethe_proto::identity::{ChangePasswordRequest, GetSelfRequest};
use serde::Deserialize;
use utoipa::ToSchema;

use super::members::Member;
use crate::{
    body::{Json, Reply},
    json::Text,
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
