//! ListLabels: the whole catalogue, which is small.

use lethe_proto::messaging::{ListLabelsRequest, ListLabelsResponse};
use tonic::Request;

use crate::{
    error::Error,
    state::{Call, State},
    store::label,
};

pub(super) async fn list_labels(
    state: &State,
    request: Request<ListLabelsRequest>,
) -> Result<ListLabelsResponse, Error> {
    let call = Call::of(&request)?;
    let mut tx = state.tx(call.tenant).await?;
    let labels = label::list(&mut tx).await?;
    Ok(ListLabelsResponse { labels: labels.iter().map(super::create_label::encode).collect() })
}
