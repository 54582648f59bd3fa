//! FinishImport: the import takes no more chunks. Finished again, it is as it was.

use lethe_ids::ImportId;
use lethe_proto::messaging::{FinishImportRequest, Import, ImportState};
use lethe_service::id;
use tonic::Request;

use super::get_import::encode;
use crate::{
    domain::channel::Code,
    error::Error,
    state::{Call, State},
    store::import,
};

pub(super) async fn finish_import(
    state: &State,
    request: Request<FinishImportRequest>,
) -> Result<Import, Error> {
    let call = Call::of(&request)?;
    let import: ImportId = id("import_id", &request.get_ref().import_id)?;
    let mut tx = state.tx(call.tenant).await?;
    let none = || Error::NotFound("import");
    import::lock(&mut tx, import).await?.ok_or_else(none)?;
    if import::end(&mut tx, import, ImportState::Finished.number(), state.clock.now()).await? {
        state.audit_setting(&mut tx, &call, "FinishImport", ("import", &import.to_string())).await?;
    }
    let row = import::find(&mut tx, import).await?.ok_or_else(none)?;
    state.commit(tx).await?;
    encode(&row)
}
