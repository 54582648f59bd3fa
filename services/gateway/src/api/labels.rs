//! Labels: the tenant's catalogue of them. Contacts and conversations carry their ids.

use http::StatusCode;
use lethe_ids::LabelId;
use lethe_proto::messaging::{
    self as proto, CreateLabelRequest, DeleteLabelRequest, ListLabelsRequest, UpdateLabelRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    body::{Json, NoBody, Reply},
    json::{Text, given},
    path::Id,
    precondition::{IdempotencyKey, IfMatch},
    problem::Problem,
    session::Acting,
};

/// A label.
#[derive(Serialize, ToSchema)]
pub(crate) struct Label {
    #[schema(example = "lbl_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    label_id: String,
    #[schema(example = "Returns")]
    name: String,
    #[schema(example = "#a0b1c2")]
    colour: String,
    version: u64,
}

impl From<proto::Label> for Label {
    fn from(label: proto::Label) -> Self {
        Self { label_id: label.label_id, name: label.name, colour: label.colour, version: label.version }
    }
}

/// A new label. Its name is configuration: no place for what concerns a person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Returns", "colour": "#a0b1c2"}))]
pub(crate) struct NewLabel {
    /// Unlike any other, whatever the case.
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    name: Text,
    #[schema(value_type = String, pattern = "^#[0-9A-Fa-f]{6}$")]
    colour: Text,
}

/// Creates a label; at most 200 a tenant.
#[utoipa::path(post, path = "/v1/labels", tag = "labels", params(IdempotencyKey),
    responses((status = 201, body = Label)),
    extensions(("x-lethe-rpc" = json!("CreateLabel"))))]
pub(crate) async fn create_label(
    acting: Acting,
    key: IdempotencyKey,
    Json(body): Json<NewLabel>,
) -> Result<Reply<Label>, Problem> {
    let request =
        CreateLabelRequest { name: body.name.0, colour: body.colour.0, idempotency: key.idempotency() };
    let label = acting.labels().create_label(request).await?.into_inner();
    let (location, version) = (format!("/v1/labels/{}", label.label_id), label.version);
    Ok(Reply::created(Label::from(label), location).with_version(version))
}

/// All labels.
#[derive(Serialize, ToSchema)]
pub(crate) struct Labels {
    labels: Vec<Label>,
}

/// Lists all labels, by name.
#[utoipa::path(get, path = "/v1/labels", tag = "labels",
    responses((status = 200, body = Labels)),
    extensions(("x-lethe-rpc" = json!("ListLabels"))))]
pub(crate) async fn list_labels(acting: Acting) -> Result<Reply<Labels>, Problem> {
    let answer = acting.labels().list_labels(ListLabelsRequest {}).await?.into_inner();
    Ok(Reply::ok(Labels { labels: answer.labels.into_iter().map(Label::from).collect() }))
}

/// What of a label is changed; absent fields stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Returns and repairs"}))]
pub(crate) struct LabelChange {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 64)]
    name: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false, pattern = "^#[0-9A-Fa-f]{6}$")]
    colour: Option<Text>,
}

/// Changes a label's name or colour.
#[utoipa::path(patch, path = "/v1/labels/{label_id}", tag = "labels",
    params(("label_id" = String, Path, description = "The label's id.", example = "lbl_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), IfMatch),
    responses((status = 200, body = Label)),
    extensions(("x-lethe-rpc" = json!("UpdateLabel"))))]
pub(crate) async fn update_label(
    acting: Acting,
    Id(label): Id<LabelId>,
    IfMatch(if_version): IfMatch,
    Json(body): Json<LabelChange>,
) -> Result<Reply<Label>, Problem> {
    let request = UpdateLabelRequest {
        label_id: label.to_string(),
        name: body.name.map(|text| text.0),
        colour: body.colour.map(|text| text.0),
        if_version,
    };
    let label = acting.labels().update_label(request).await?.into_inner();
    let version = label.version;
    Ok(Reply::ok(Label::from(label)).with_version(version))
}

/// Deletes a label. Its id may still stand on contacts and conversations, and names nothing there.
#[utoipa::path(delete, path = "/v1/labels/{label_id}", tag = "labels",
    params(("label_id" = String, Path, description = "The label's id.", example = "lbl_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 204, description = "The label is gone.")),
    extensions(("x-lethe-rpc" = json!("DeleteLabel"))))]
pub(crate) async fn delete_label(
    acting: Acting,
    Id(label): Id<LabelId>,
    _body: NoBody,
) -> Result<StatusCode, Problem> {
    acting.labels().delete_label(DeleteLabelRequest { label_id: label.to_string() }).await?;
    Ok(StatusCode::NO_CONTENT)
}
