//! CreateLabel: one more in the tenant's catalogue.

use lethe_ids::LabelId;
use lethe_proto::messaging::{CreateLabelRequest, Label};
use tonic::Request;

use crate::{
    domain,
    error::Error,
    state::{Call, State},
    store::{idempotency, label, unsigned},
};

/// Most labels of a tenant.
const MOST: i64 = 200;

pub(super) async fn create_label(
    state: &State,
    request: Request<CreateLabelRequest>,
) -> Result<Label, Error> {
    let call = Call::of(&request)?;
    let mut request = request.into_inner();
    let key = request.idempotency.take();
    let once = state.once(call.tenant, "CreateLabel", key, &request).await?;
    let (name, colour) = (domain::label::name(&request.name)?, domain::label::colour(&request.colour)?);
    let (label, at) = (LabelId::new(state.entropy.uuid7(&state.clock)), state.clock.now());
    let mut tx = state.tx(call.tenant).await?;
    // Whoever adds one waits here, so that a repeated request finds what the first made.
    let there = label::lock(&mut tx).await?;
    if let Some(made) = state.made_before(&mut tx, once, "label").await? {
        let row = label::find(&mut tx, LabelId::new(made)).await?.ok_or(Error::Gone("label"))?;
        return Ok(encode(&row));
    }
    if there >= MOST {
        return Err(Error::TooMany("labels"));
    }
    if !label::insert(&mut tx, label, (&name, &colour), at).await? {
        return Err(Error::NameTaken("label"));
    }
    if let Some(once) = once {
        idempotency::insert(&mut tx, once, None, label.uuid(), at).await?;
    }
    state.audit_setting(&mut tx, &call, "CreateLabel", ("label", &label.to_string())).await?;
    let row = label::find(&mut tx, label).await?.ok_or(Error::Corrupt("labels"))?;
    state.commit(tx).await?;
    Ok(encode(&row))
}

/// A label as it goes to a reader.
pub(super) fn encode(row: &label::LabelRow) -> Label {
    Label {
        label_id: row.id().to_string(),
        name: row.name.clone(),
        colour: row.colour.clone(),
        version: unsigned(row.version),
    }
}
