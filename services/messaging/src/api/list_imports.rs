//! ListImports: the newest first.

use lethe_proto::messaging::{ListImportsRequest, ListImportsResponse};
use lethe_service::{Limit, PageKey, page};
use tonic::Request;
use uuid::Uuid;

use super::get_import::encode;
use crate::{
    error::Error,
    state::{Call, State},
    store::import,
};

pub(super) async fn list_imports(
    state: &State,
    request: Request<ListImportsRequest>,
) -> Result<ListImportsResponse, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref().page.as_ref();
    let limit = Limit::of(asked)?;
    let before = PageKey::of(asked)?.map_or(Uuid::max(), |key| key.id);
    let mut tx = state.tx(call.tenant).await?;
    let mut rows = import::list(&mut tx, before, limit.and_one()).await?;
    let next = page::next(&mut rows, limit, |row| PageKey { at: row.created_at, id: row.id().uuid() });
    Ok(ListImportsResponse { imports: rows.iter().map(encode).collect::<Result<_, _>>()?, next })
}
