//! RateConversation: stars and a comment after a conversation was resolved, once for each time that it was. Whoever is under
//! restriction is not rated: that would use the data.

use lethe_ids::{ContactId, ConversationId, RatingId};
use lethe_keyring::{KeyError, OpenError, header};
use lethe_proto::messaging::{ConversationStatus, RateConversationRequest, Rating};
use lethe_service::{id, timestamp};
use tonic::Request;

use crate::{
    domain::{Invalid, channel::Code, text::comment},
    error::Error,
    seal,
    state::{Call, State},
    store::{
        conversation, head, idempotency,
        rating::{self, RatingRow},
    },
};

pub(super) async fn rate_conversation(
    state: &State,
    request: Request<RateConversationRequest>,
) -> Result<Rating, Error> {
    let call = Call::of(&request)?;
    let tenant = call.tenant;
    let mut request = request.into_inner();
    let key = request.idempotency.take();
    let once = state.once(tenant, "RateConversation", key, &request).await?;
    let conversation: ConversationId = id("conversation_id", &request.conversation_id)?;
    let stars = i16::try_from(request.stars).ok().filter(|stars| (1..=5).contains(stars));
    let stars = stars.ok_or_else(|| Invalid::new("stars", "must be 1 to 5"))?;
    let comment = comment(&request.comment)?;
    let at = state.clock.now();

    let mut tx = state.tx(tenant).await?;
    if let Some(made) = state.made_before(&mut tx, once, "rating").await? {
        drop(tx);
        return replay(state, &call, conversation, RatingId::new(made)).await;
    }
    drop(tx);
    let (route, unit) = state.route(tenant, conversation, at).await?;
    let sealer = state.sealer(tenant, route.subject, unit, "conversation").await?;
    let rating = RatingId::new(state.entropy.uuid7(&state.clock));
    let sealed = (!comment.is_empty()).then(|| seal::seal_comment(&sealer, rating, &comment));

    let mut tx = state.tx(tenant).await?;
    let contact: ContactId = route.contact;
    let head = head::require_for(&mut tx, contact, conversation, "conversation").await?;
    let row = conversation::find(&mut tx, conversation).await?.ok_or(Error::NotFound("conversation"))?;
    if let Some(once) = once
        && !idempotency::insert(&mut tx, once, contact, rating.uuid(), at).await?
    {
        let made = state.made_before(&mut tx, Some(once), "rating").await?;
        drop(tx);
        let made = RatingId::new(made.ok_or(Error::Gone("rating"))?);
        return replay(state, &call, conversation, made).await;
    }
    if head.restriction != 0 {
        return Err(Error::Restricted);
    }
    if row.status != ConversationStatus::Resolved.number() {
        return Err(Error::NotResolved);
    }
    let place = (rating, conversation, row.resolutions);
    if !rating::insert(&mut tx, place, stars, sealed.as_deref(), at).await? {
        return Err(Error::AlreadyRated);
    }
    let seq = head::count_up(&mut tx, contact).await?;
    let ids = (conversation, contact);
    super::open_conversation::changed(state, &mut tx, &call, "RateConversation", ids, seq).await?;
    state.commit(tx).await?;
    Ok(Rating {
        rating_id: rating.to_string(),
        conversation_id: conversation.to_string(),
        resolution: row.resolutions.unsigned_abs(),
        stars: u32::from(stars.unsigned_abs()),
        comment: comment.to_string(),
        created_at: Some(timestamp(at)),
    })
}

async fn replay(
    state: &State,
    call: &Call,
    conversation: ConversationId,
    rating: RatingId,
) -> Result<Rating, Error> {
    let mut tx = state.tx(call.tenant).await?;
    conversation::find(&mut tx, conversation).await?.ok_or(Error::Gone("rating"))?;
    let row = rating::find(&mut tx, rating).await?.ok_or(Error::Gone("rating"))?;
    drop(tx);
    encode(state, call, &row).await
}

/// A rating as it goes to a reader. A comment whose secret was destroyed is none.
pub(super) async fn encode(state: &State, call: &Call, row: &RatingRow) -> Result<Rating, Error> {
    let mut comment = String::new();
    if let Some(sealed) = &row.comment {
        let header = header::parse(sealed).ok_or(OpenError::Format)?;
        match state.keyring.sealer(call.tenant, header.subject, header.unit).await {
            Err(KeyError::Destroyed) => {}
            sealer => comment = seal::open_comment(&sealer?, row.id(), sealed)?,
        }
    }
    Ok(Rating {
        rating_id: row.id().to_string(),
        conversation_id: row.conversation().to_string(),
        resolution: row.resolution.unsigned_abs(),
        stars: u32::from(row.stars.unsigned_abs()),
        comment,
        created_at: Some(timestamp(row.created_at)),
    })
}
