//! DeleteLabel. Its id may still stand on contacts and conversations, and names nothing there.

use lethe_ids::LabelId;
use lethe_proto::messaging::{DeleteLabelRequest, DeleteLabelResponse};
use lethe_service::id;
use tonic::Request;

use crate::{
    error::Error,
    state::{Call, State},
    store::label,
};

pub(super) async fn delete_label(
    state: &State,
    request: Request<DeleteLabelRequest>,
) -> Result<DeleteLabelResponse, Error> {
    let call = Call::of(&request)?;
    let label: LabelId = id("label_id", &request.get_ref().label_id)?;
    let mut tx = state.tx(call.tenant).await?;
    if !label::delete(&mut tx, label).await? {
        return Err(Error::NotFound("label"));
    }
    state.audit_setting(&mut tx, &call, "DeleteLabel", ("label", &label.to_string())).await?;
    state.commit(tx).await?;
    Ok(DeleteLabelResponse {})
}
