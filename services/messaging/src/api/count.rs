//! Count: how much there is of a contact, or of the part of it, by store and kind. Changes nothing.

use lethe_ids::ConversationId;
use lethe_proto::erasure::{CountRequest, CountResponse};
use tonic::Request;

use super::fence::{many, reach, resealed};
use crate::{
    census::{Census, Counted},
    error::Error,
    scope::{Mode, Scope},
    state::State,
    store::{fence, merge, reach},
};

pub(super) async fn count(state: &State, request: Request<CountRequest>) -> Result<CountResponse, Error> {
    let scope = Scope::of(request.into_inner().scope)?;
    let mut tx = state.tx(scope.tenant).await?;
    let owner = merge::owner_of(&mut tx, scope.contact).await?;
    let contacts = merge::ids_of(&mut tx, owner).await?;
    let part = match scope.mode {
        Mode::Conversation => fence::own_of(&mut tx, owner, &scope.conversations).await?,
        Mode::Email => fence::emails_of(&mut tx, owner).await?,
        _ => Vec::new(),
    };
    let (whose, reach) = reach(&mut tx, &scope, &contacts, &part).await?;
    let mut tables = reach::rows_of(&mut tx, whose).await?;
    let known = !tables.is_empty();
    tables.extend(resealed(&mut tx, &scope, &reach).await?);
    drop(tx);
    let census = Census::new(&contacts, &reach.subjects, &reach.units, &reach.conversations, tables);
    let counts = if known { census.counts() } else { Vec::new() };
    Ok(CountResponse {
        tallies: counts.iter().map(Counted::tally).collect(),
        known,
        conversation_ids: part.iter().map(ConversationId::to_string).collect(),
        contact_ids: many(&contacts),
    })
}
