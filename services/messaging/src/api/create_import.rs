//! CreateImport: begins to bring contacts or conversations in bulk.

use lethe_ids::ImportId;
use lethe_proto::messaging::{CreateImportRequest, Import};
use tonic::Request;

use super::get_import::encode;
use crate::{
    error::Error,
    state::{Call, State},
    store::{idempotency, import},
};

pub(super) async fn create_import(
    state: &State,
    request: Request<CreateImportRequest>,
) -> Result<Import, Error> {
    let call = Call::of(&request)?;
    let mut request = request.into_inner();
    let key = request.idempotency.take();
    let once = state.once(call.tenant, "CreateImport", key, &request).await?;
    let (id, at) = (ImportId::new(state.entropy.uuid7(&state.clock)), state.clock.now());
    let mut tx = state.tx(call.tenant).await?;
    // Whoever begins one waits here, so that a repeated request finds what the first made.
    let open = import::lock_open(&mut tx).await?;
    if let Some(made) = state.made_before(&mut tx, once, "import").await? {
        let row = import::find(&mut tx, ImportId::new(made)).await?.ok_or(Error::Gone("import"))?;
        return encode(&row);
    }
    if open >= i64::from(state.config.imports.most_open) {
        return Err(Error::TooMany("imports"));
    }
    import::insert(&mut tx, id, at).await?;
    if let Some(once) = once {
        idempotency::insert(&mut tx, once, None, id.uuid(), at).await?;
    }
    state.audit_setting(&mut tx, &call, "CreateImport", ("import", &id.to_string())).await?;
    let row = import::find(&mut tx, id).await?.ok_or(Error::Corrupt("imports"))?;
    state.commit(tx).await?;
    encode(&row)
}
