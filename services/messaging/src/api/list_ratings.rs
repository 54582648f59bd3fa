//! ListRatings: of a conversation, the newest first.

use lethe_ids::ConversationId;
use lethe_proto::messaging::{ListRatingsRequest, ListRatingsResponse};
use lethe_service::{Limit, PageKey, id, page};
use tonic::Request;
use uuid::Uuid;

use crate::{
    error::Error,
    state::{Call, State},
    store::{conversation, rating},
};

pub(super) async fn list_ratings(
    state: &State,
    request: Request<ListRatingsRequest>,
) -> Result<ListRatingsResponse, Error> {
    let call = Call::of(&request)?;
    let conversation: ConversationId = id("conversation_id", &request.get_ref().conversation_id)?;
    let asked = request.get_ref().page.as_ref();
    let limit = Limit::of(asked)?;
    let before = PageKey::of(asked)?.map_or(Uuid::max(), |key| key.id);
    let mut tx = state.tx(call.tenant).await?;
    conversation::find(&mut tx, conversation).await?.ok_or(Error::NotFound("conversation"))?;
    let mut rows = rating::list(&mut tx, conversation, before, limit.and_one()).await?;
    drop(tx);
    let next = page::next(&mut rows, limit, |row| PageKey { at: row.created_at, id: row.id().uuid() });
    let mut ratings = Vec::with_capacity(rows.len());
    for row in &rows {
        ratings.push(super::rate_conversation::encode(state, &call, row).await?);
    }
    Ok(ListRatingsResponse { ratings, next })
}
