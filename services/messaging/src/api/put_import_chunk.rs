//! PutImportChunk: the next rows of an import. Each row goes by itself, as a single request would; then, in one transaction, the
//! report and the place to go on from. Cut off anywhere, the chunk is put again: rows that are in are known by their keys, and
//! by the place they have in this file, so the report says the same of them.

use lethe_ids::ImportId;
use lethe_proto::messaging::{ImportChunk, ImportState, PutImportChunkRequest};
use lethe_service::{Failure, id};
use prost::Message;
use tonic::Request;
use uuid::Uuid;

use super::get_import::encode;
use crate::{
    domain::channel::Code,
    error::Error,
    imports::{Became, Chunk, half},
    state::{Call, State},
    store::import::{self, Counts, ImportRow},
};

pub(super) async fn put_import_chunk(
    state: &State,
    request: Request<PutImportChunkRequest>,
) -> Result<ImportChunk, Error> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let import: ImportId = id("import_id", &request.import_id)?;
    check(state, &request)?;
    let mac = mac(state, &call, &request).await?;

    let mut tx = state.tx(call.tenant).await?;
    let row = import::find(&mut tx, import).await?.ok_or(Error::NotFound("import"))?;
    drop(tx);
    if let Some(answer) = settled(state, &row, (request.number, mac), request.lines)? {
        return Ok(answer);
    }
    let chunk = Chunk { call: &call, import, before: row.lines };
    let lines = i64::from(request.lines);
    let became = state.import_rows(&chunk, request.rows).await?;

    let mut counts = Counts { lines, ..Counts::default() };
    let mut refused = Vec::new();
    for (line, became) in became {
        match became {
            Became::Imported => counts.imported += 1,
            Became::AlreadyThere => counts.already_there += 1,
            Became::Refused(refusal) => {
                counts.refused += 1;
                refused.push((line, refusal));
            }
        }
    }
    let mut tx = state.tx(call.tenant).await?;
    let row = import::lock(&mut tx, import).await?.ok_or(Error::NotFound("import"))?;
    // The same chunk may have been taken by another request meanwhile: its rows are in once all the same.
    if let Some(answer) = settled(state, &row, (request.number, mac), request.lines)? {
        return Ok(answer);
    }
    import::refuse(&mut tx, import, &refused).await?;
    import::advance(&mut tx, import, mac, counts, state.clock.now()).await?;
    let row = import::find(&mut tx, import).await?.ok_or(Error::Corrupt("imports"))?;
    state.commit(tx).await?;
    answer(&row)
}

fn check(state: &State, request: &PutImportChunkRequest) -> Result<(), Error> {
    let most = state.config.imports.chunk_rows;
    if request.rows.len() > most {
        return Err(Failure::invalid("rows", format!("are more than {most}")).into());
    }
    let mut before = 0;
    for row in &request.rows {
        if row.line <= before || row.line > request.lines {
            return Err(Failure::invalid("rows.line", "must ascend, up to lines").into());
        }
        before = row.line;
    }
    Ok(())
}

/// Of all that makes the chunk what it is.
async fn mac(state: &State, call: &Call, request: &PutImportChunkRequest) -> Result<Uuid, Error> {
    let macs = state.keyring.blind(call.tenant).await?;
    Ok(half(macs.fingerprint(b"messaging import chunk", &request.encode_to_vec())))
}

/// The answer to a chunk that was taken; `None` when it is to be taken now.
///
/// # Errors
/// [`Error::OtherChunk`], [`Error::ImportEnded`], [`Error::ChunkOutOfOrder`], [`Error::TooMany`].
fn settled(
    state: &State,
    row: &ImportRow,
    (number, mac): (u32, Uuid),
    lines: u32,
) -> Result<Option<ImportChunk>, Error> {
    let next = row.next_chunk.unsigned_abs();
    if number.checked_add(1) == Some(next) {
        return if row.last_mac == Some(mac) { answer(row).map(Some) } else { Err(Error::OtherChunk) };
    }
    if row.state != ImportState::Open.number() {
        return Err(Error::ImportEnded);
    }
    if number != next {
        return Err(Error::ChunkOutOfOrder);
    }
    if row.lines.unsigned_abs() + u64::from(lines) > state.config.imports.most_lines {
        return Err(Error::TooMany("lines"));
    }
    Ok(None)
}

/// What the last chunk came to.
fn answer(row: &ImportRow) -> Result<ImportChunk, Error> {
    Ok(ImportChunk {
        number: row.next_chunk.unsigned_abs() - 1,
        imported: row.last_imported.unsigned_abs(),
        already_there: row.last_already_there.unsigned_abs(),
        refused: row.last_refused.unsigned_abs(),
        import: Some(encode(row)?),
    })
}
