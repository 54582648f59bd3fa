//! ListContacts: the newest first.

use lethe_proto::messaging::{ListContactsRequest, ListContactsResponse};
use lethe_service::{Limit, PageKey, page};
use tonic::Request;
use uuid::Uuid;

use crate::{
    error::Error,
    state::{Call, State},
    store::contact,
};

pub(super) async fn list_contacts(
    state: &State,
    request: Request<ListContactsRequest>,
) -> Result<ListContactsResponse, Error> {
    let call = Call::of(&request)?;
    let asked = request.get_ref().page.as_ref();
    let limit = Limit::of(asked)?;
    let before = PageKey::of(asked)?.map_or(Uuid::max(), |key| key.id);
    let mut tx = state.tx(call.tenant).await?;
    let mut rows = contact::list(&mut tx, before, limit.and_one()).await?;
    drop(tx);
    let next = page::next(&mut rows, limit, |row| PageKey { at: row.created_at, id: row.id().uuid() });
    let contacts = state.open_contacts(call.tenant, &rows).await?;
    Ok(ListContactsResponse { contacts: contacts.into_iter().map(|(contact, _)| contact).collect(), next })
}
