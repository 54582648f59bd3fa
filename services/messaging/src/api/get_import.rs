//! GetImport: where an import stands. A client that lost its place goes on with `next_chunk`.

use lethe_ids::ImportId;
use lethe_proto::messaging::{GetImportRequest, Import, ImportState};
use lethe_service::{id, timestamp};
use tonic::Request;

use crate::{
    domain::channel::Code,
    error::Error,
    state::{Call, State},
    store::{
        import::{self, ImportRow},
        unsigned,
    },
};

pub(super) async fn get_import(state: &State, request: Request<GetImportRequest>) -> Result<Import, Error> {
    let call = Call::of(&request)?;
    let import: ImportId = id("import_id", &request.get_ref().import_id)?;
    let mut tx = state.tx(call.tenant).await?;
    encode(&import::find(&mut tx, import).await?.ok_or(Error::NotFound("import"))?)
}

/// An import as it goes to a reader.
pub(super) fn encode(row: &ImportRow) -> Result<Import, Error> {
    let state = ImportState::of(row.state.into()).ok_or(Error::Corrupt("imports.state"))?;
    Ok(Import {
        import_id: row.id().to_string(),
        state: state.into(),
        created_at: Some(timestamp(row.created_at)),
        updated_at: Some(timestamp(row.updated_at)),
        finished_at: row.finished_at.map(timestamp),
        next_chunk: row.next_chunk.unsigned_abs(),
        lines: unsigned(row.lines),
        imported: unsigned(row.imported),
        already_there: unsigned(row.already_there),
        refused: unsigned(row.refused),
    })
}
