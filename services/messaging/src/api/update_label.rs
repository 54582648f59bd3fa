//! UpdateLabel: another name or colour.

use lethe_ids::LabelId;
use lethe_proto::messaging::{Label, UpdateLabelRequest};
use lethe_service::id;
use tonic::Request;

use crate::{
    domain,
    error::Error,
    state::{Call, State},
    store::{label, unsigned},
};

pub(super) async fn update_label(
    state: &State,
    request: Request<UpdateLabelRequest>,
) -> Result<Label, Error> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let label: LabelId = id("label_id", &request.label_id)?;
    let name = request.name.as_deref().map(domain::label::name).transpose()?;
    let colour = request.colour.as_deref().map(domain::label::colour).transpose()?;
    let mut tx = state.tx(call.tenant).await?;
    let row = label::find(&mut tx, label).await?.ok_or(Error::NotFound("label"))?;
    if request.if_version != 0 && request.if_version != unsigned(row.version) {
        return Err(Error::VersionMismatch);
    }
    let (name, colour) = (name.as_ref().unwrap_or(&row.name), colour.as_ref().unwrap_or(&row.colour));
    if (name, colour) == (&row.name, &row.colour) {
        return Ok(super::create_label::encode(&row));
    }
    label::update(&mut tx, label, (name, colour)).await.map_err(|error| {
        let taken = error.as_database_error().is_some_and(|error| error.is_unique_violation());
        if taken { Error::NameTaken("label") } else { error.into() }
    })?;
    state.audit_setting(&mut tx, &call, "UpdateLabel", ("label", &label.to_string())).await?;
    let row = label::find(&mut tx, label).await?.ok_or(Error::Corrupt("labels"))?;
    state.commit(tx).await?;
    Ok(super::create_label::encode(&row))
}
