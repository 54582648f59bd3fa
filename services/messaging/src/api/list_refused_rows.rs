//! ListRefusedRows: the report of an import, by line.

use lethe_ids::ImportId;
use lethe_proto::messaging::{ListRefusedRowsRequest, ListRefusedRowsResponse, RefusedRow};
use lethe_service::{Limit, id};
use tonic::Request;

use super::cursor::{Position, next, not_a_cursor};
use crate::{
    error::Error,
    state::{Call, State},
    store::{import, unsigned},
};

pub(super) async fn list_refused_rows(
    state: &State,
    request: Request<ListRefusedRowsRequest>,
) -> Result<ListRefusedRowsResponse, Error> {
    let call = Call::of(&request)?;
    let request = request.get_ref();
    let import: ImportId = id("import_id", &request.import_id)?;
    let limit = Limit::of(request.page.as_ref())?;
    let after = match Position::of(request.page.as_ref())? {
        Some(position) if position.id != import.uuid() => return Err(not_a_cursor()),
        position => position.map_or(0, |position| position.seq),
    };
    let mut tx = state.tx(call.tenant).await?;
    import::find(&mut tx, import).await?.ok_or(Error::NotFound("import"))?;
    let mut rows = import::list_refused(&mut tx, import, after, limit.and_one()).await?;
    let next = next(&mut rows, limit, |row| Position { id: import.uuid(), seq: row.line });
    let encode = |row: import::RefusedRow| RefusedRow {
        line: unsigned(row.line),
        field: row.field,
        code: row.code,
        reason: row.reason,
    };
    Ok(ListRefusedRowsResponse { rows: rows.into_iter().map(encode).collect(), next })
}
