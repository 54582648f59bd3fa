//! ListConsents: the history of a contact, the newest first.

use lethe_ids::ContactId;
use lethe_keyring::Sealer;
use lethe_proto::messaging::{Consent, ListConsentsRequest, ListConsentsResponse};
use lethe_service::{Limit, PageKey, id, page, timestamp};
use tonic::Request;
use uuid::Uuid;

use crate::{
    error::Error,
    seal,
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
    let row = contact::find(&mut tx, contact).await?.ok_or(Error::NotFound("contact"))?;
    let mut rows = consent::list(&mut tx, contact, before, limit.and_one()).await?;
    drop(tx);
    let next = page::next(&mut rows, limit, |row| PageKey { at: row.at, id: row.id().uuid() });
    let sealer = state.sealer(call.tenant, row.subject(), row.unit(), "contact").await?;
    let consents = rows.iter().map(|row| encode(&sealer, row)).collect::<Result<_, _>>()?;
    Ok(ListConsentsResponse { consents, next })
}

/// A consent as it goes to a reader.
pub(super) fn encode(sealer: &Sealer, row: &ConsentRow) -> Result<Consent, Error> {
    Ok(Consent {
        consent_id: row.id().to_string(),
        purpose: row.purpose.into(),
        act: row.act.into(),
        source: seal::open_source(sealer, row.id(), &row.source)?,
        at: Some(timestamp(row.at)),
    })
}
