//! HydrateMessages: texts for search hits, under the viewer's principal. What is erased, fenced, deleted or restricted
//! is left out, whatever the index still holds; and so is spam, unless it is asked for.

use std::collections::HashMap;

use lethe_ids::MessageId;
use lethe_proto::messaging::{HydrateMessagesRequest, HydrateMessagesResponse};
use lethe_service::id;
use tonic::Request;

use crate::{
    domain::Invalid,
    error::Error,
    state::{Call, State},
    store::message::{self, MessageRow},
};

/// Most messages of one call.
const MOST: usize = 200;

pub(super) async fn hydrate_messages(
    state: &State,
    request: Request<HydrateMessagesRequest>,
) -> Result<HydrateMessagesResponse, Error> {
    let call = Call::of(&request)?;
    let ids = ids("message_ids", &request.get_ref().message_ids, MOST)?;
    let include_spam = request.get_ref().include_spam;
    let mut tx = state.tx(call.tenant).await?;
    let found = message::find_all(&mut tx, &ids).await?;
    drop(tx);
    let mut found: HashMap<MessageId, MessageRow> = found
        .into_iter()
        .filter(|row| row.is_searchable() && (include_spam || !row.is_spam()))
        .map(|row| (row.id(), row))
        .collect();
    let rows: Vec<MessageRow> = ids.iter().filter_map(|id| found.remove(id)).collect();
    Ok(HydrateMessagesResponse { messages: state.open_messages(call.tenant, &rows).await? })
}

/// At most `most` ids of messages.
pub(super) fn ids(field: &str, texts: &[String], most: usize) -> Result<Vec<MessageId>, Error> {
    if texts.len() > most {
        return Err(Invalid::new(field, format!("has more than {most} ids")).into());
    }
    texts.iter().enumerate().map(|(n, text)| Ok(id(&format!("{field}[{n}]"), text)?)).collect()
}
