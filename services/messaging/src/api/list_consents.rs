//! ListConsents: the history of a contact, the newest first.

use lethe_ids::{ContactId, TenantId};
use lethe_proto::messaging::{Consent, ListConsentsRequest, ListConsentsResponse};
use lethe_service::{Limit, PageKey, id, page, timestamp};
use tonic::Request;
use uuid::Uuid;

use crate::{
    error::Error,
    state::{Call, State},
    store::{
        consent::{self, ConsentRow},
        contact,
    },
};

pub(super) async fn list_consents(
    state: &State,
    request: Request<ListConsentsRequest>,
) -> Result<ListConsentsResponse, Error> {
    let call = Call::of(&request)?;
    let contact: ContactId = id("contact_id", &request.get_ref().contact_id)?;
    let asked = request.get_ref().page.as_ref();
    let limit = Limit::of(asked)?;
    let before = PageKey::of(asked)?.map_or(Uuid::max(), |key| key.id);
    let mut tx = state.tx(call.tenant).await?;
    contact::require(&mut tx, contact).await?;
    let mut rows = consent::list(&mut tx, contact, before, limit.and_one()).await?;
    drop(tx);
    let next = page::next(&mut rows, limit, |row| PageKey { at: row.at, id: row.id().uuid() });
    let mut consents = Vec::with_capacity(rows.len());
    for row in &rows {
        consents.push(encode(state, call.tenant, row).await?);
    }
    Ok(ListConsentsResponse { consents, next })
}

/// A consent as it goes to a reader.
pub(super) async fn encode(state: &State, tenant: TenantId, row: &ConsentRow) -> Result<Consent, Error> {
    Ok(Consent {
        consent_id: row.id().to_string(),
        purpose: row.purpose.into(),
        act: row.act.into(),
        source: state.open_source(tenant, row.id(), &row.source).await?,
        at: Some(timestamp(row.at)),
    })
}
