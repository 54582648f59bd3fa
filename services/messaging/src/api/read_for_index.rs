//! ReadForIndex: the present state of what a notification named, all of a contact, or all of a tenant. Search writes it
//! with the sequence as version, so it may be read late and twice. What is restricted is not to be found, and so is
//! not to be indexed.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use lethe_ids::{ContactId, MessageId, TenantId};
use lethe_proto::messaging::{
    IndexableMessage, ReadForIndexRequest, ReadForIndexResponse, read_for_index_request::What,
};
use lethe_service::{Limit, id};
use tonic::Request;

use super::{
    cursor::{self, Position},
    hydrate_messages::ids,
};
use crate::{
    domain::Invalid,
    error::Error,
    state::State,
    store::message::{self, MessageRow},
};

/// Most messages asked for by id in one call.
const MOST: usize = 500;

pub(super) async fn read_for_index(
    state: &State,
    request: Request<ReadForIndexRequest>,
) -> Result<ReadForIndexResponse, Error> {
    let request = request.into_inner();
    let tenant: TenantId = id("tenant_id", &request.tenant_id)?;
    let limit = Limit::of(request.page.as_ref())?;
    let after = Position::of(request.page.as_ref())?.unwrap_or_default();
    let what = request.what.ok_or_else(|| Invalid::new("what", "is missing"))?;
    let mut tx = state.tx(tenant).await?;
    let by_ids = matches!(what, What::MessageIds(_));
    let (rows, mut absent, next) = match what {
        What::MessageIds(asked) => {
            let asked = ids("message_ids.values", &asked.values, MOST)?;
            let (rows, absent) = by_id(message::find_all(&mut tx, &asked).await?, &asked);
            (rows, absent, Bytes::new())
        }
        What::ContactId(contact) => {
            let contact: ContactId = id("contact_id", &contact)?;
            let from = (after.id, after.seq);
            let mut rows = message::list_of_contact(&mut tx, contact, from, limit.and_one()).await?;
            let position =
                |row: &MessageRow| Position { id: row.conversation().uuid(), seq: row.accepted_seq };
            let next = cursor::next(&mut rows, limit, position);
            (rows, Vec::new(), next)
        }
        What::Everything(true) => {
            let mut rows = message::list_of_tenant(&mut tx, after.id, limit.and_one()).await?;
            let next = cursor::next(&mut rows, limit, |row| Position { id: row.id().uuid(), seq: 0 });
            (rows, Vec::new(), next)
        }
        What::Everything(false) => return Err(Invalid::new("everything", "must be true").into()),
    };
    drop(tx);
    let rows: Vec<MessageRow> = rows.into_iter().filter(MessageRow::is_searchable).collect();
    let incarnation = state.incarnation().await?;
    let assigned: HashMap<String, String> =
        rows.iter().filter_map(|row| Some((row.id().to_string(), row.assigned()?.to_string()))).collect();
    let messages = state.open_messages_that_open(tenant, &rows).await?;
    if by_ids {
        // Whoever asked for an id is told of it one way or the other.
        let opened: HashSet<&str> = messages.iter().map(|message| message.message_id.as_str()).collect();
        absent.extend(rows.iter().map(|row| row.id().to_string()).filter(|id| !opened.contains(id.as_str())));
    }
    let messages = messages.into_iter().map(|message| IndexableMessage {
        assigned_member_id: assigned.get(&message.message_id).cloned().unwrap_or_default(),
        message: Some(message),
        incarnation,
    });
    Ok(ReadForIndexResponse { messages: messages.collect(), absent_message_ids: absent, next })
}

/// What is to be indexed of those asked for, and the ids of the others.
fn by_id(found: Vec<MessageRow>, asked: &[MessageId]) -> (Vec<MessageRow>, Vec<String>) {
    let mut found: HashMap<MessageId, MessageRow> =
        found.into_iter().filter(MessageRow::is_searchable).map(|row| (row.id(), row)).collect();
    let (mut rows, mut absent) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for id in asked.iter().filter(|id| seen.insert(**id)) {
        match found.remove(id) {
            Some(row) => rows.push(row),
            None => absent.push(id.to_string()),
        }
    }
    (rows, absent)
}
