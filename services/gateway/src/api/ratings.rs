//! Satisfaction: what contacts say of resolved conversations, and the tenant's numbers.

use lethe_ids::ConversationId;
use lethe_proto::messaging::{
    self as proto, GetSatisfactionRequest, ListRatingsRequest, RateConversationRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::page::Page;
use crate::{
    body::{Json, Reply},
    json::{At, Text, instant, present},
    path::Id,
    precondition::IdempotencyKey,
    problem::Problem,
    query::Query,
    session::Acting,
};

/// A contact's rating of a resolved conversation.
#[derive(Serialize, ToSchema)]
pub(crate) struct Rating {
    #[schema(example = "rat_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    rating_id: String,
    #[schema(example = "cnv_01998f2ac3e47b0f8a5d2f60b1c9e7aa")]
    conversation_id: String,
    /// Which resolution was rated.
    resolution: u32,
    #[schema(minimum = 1, maximum = 5)]
    stars: u32,
    comment: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Option<String>,
}

impl From<proto::Rating> for Rating {
    fn from(rating: proto::Rating) -> Self {
        Self {
            rating_id: rating.rating_id,
            conversation_id: rating.conversation_id,
            resolution: rating.resolution,
            stars: rating.stars,
            comment: present(rating.comment),
            created_at: instant(rating.created_at),
        }
    }
}

/// What the contact says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"stars": 5, "comment": "Quick and kind."}))]
pub(crate) struct NewRating {
    #[schema(minimum = 1, maximum = 5)]
    stars: u32,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 2000)]
    comment: Option<Text>,
}

/// Rates a resolved conversation: once for each time that it was resolved.
#[utoipa::path(post, path = "/v1/conversations/{conversation_id}/ratings", tag = "conversations",
    params(("conversation_id" = String, Path, description = "The conversation's id.", example = "cnv_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), IdempotencyKey),
    responses((status = 201, body = Rating)),
    extensions(("x-lethe-rpc" = json!("RateConversation"))))]
pub(crate) async fn rate_conversation(
    acting: Acting,
    Id(conversation): Id<ConversationId>,
    key: IdempotencyKey,
    Json(body): Json<NewRating>,
) -> Result<Reply<Rating>, Problem> {
    let request = RateConversationRequest {
        conversation_id: conversation.to_string(),
        stars: body.stars,
        comment: body.comment.unwrap_or_default().0,
        idempotency: key.idempotency(),
    };
    let rating = acting.conversations().rate_conversation(request).await?.into_inner();
    let location = format!("/v1/conversations/{conversation}/ratings");
    Ok(Reply::created(Rating::from(rating), location))
}

/// A page of ratings.
#[derive(Serialize, ToSchema)]
pub(crate) struct RatingPage {
    ratings: Vec<Rating>,
    /// For `after`; `null` on the last page.
    next: Option<String>,
}

/// Lists a conversation's ratings, newest first.
#[utoipa::path(get, path = "/v1/conversations/{conversation_id}/ratings", tag = "conversations",
    params(("conversation_id" = String, Path, description = "The conversation's id.", example = "cnv_01998f2ac3e47b0f8a5d2f60b1c9e7aa"), Page),
    responses((status = 200, body = RatingPage)),
    extensions(("x-lethe-rpc" = json!("ListRatings"))))]
pub(crate) async fn list_ratings(
    acting: Acting,
    Id(conversation): Id<ConversationId>,
    Query(page): Query<Page>,
) -> Result<Reply<RatingPage>, Problem> {
    let conversation_id = conversation.to_string();
    let list = acting.list("ListRatings", &conversation_id);
    let page = list.page(page.limit, page.after())?;
    let request = ListRatingsRequest { conversation_id: conversation_id.clone(), page };
    let answer = acting.conversations().list_ratings(request).await?.into_inner();
    let next = list.next(&answer.next);
    Ok(Reply::ok(RatingPage { ratings: answer.ratings.into_iter().map(Rating::from).collect(), next }))
}

/// A window of time.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    /// From this instant.
    #[param(value_type = String, format = DateTime, example = "2026-11-01T00:00:00Z")]
    from: At,
    /// Until before this one, at most 397 days later.
    #[param(value_type = String, format = DateTime, example = "2026-12-01T00:00:00Z")]
    until: At,
}

/// The tenant's ratings in numbers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Satisfaction {
    ratings: u64,
    /// Of the stars; `null` without ratings.
    average: Option<f64>,
    /// How many of 1, 2, 3, 4 and 5 stars.
    stars: Vec<u64>,
}

/// Counts the ratings given in a window of time. Restricted contacts' are left out.
#[utoipa::path(get, path = "/v1/satisfaction", tag = "conversations", params(Window),
    responses((status = 200, body = Satisfaction)),
    extensions(("x-lethe-rpc" = json!("GetSatisfaction"))))]
pub(crate) async fn get_satisfaction(
    acting: Acting,
    Query(window): Query<Window>,
) -> Result<Reply<Satisfaction>, Problem> {
    let request =
        GetSatisfactionRequest { from: Some(window.from.timestamp()), until: Some(window.until.timestamp()) };
    let stars = acting.conversations().get_satisfaction(request).await?.into_inner().stars;
    let ratings: u64 = stars.iter().sum();
    let sum: u64 = stars.iter().zip(1..).map(|(count, stars)| count * stars).sum();
    #[allow(clippy::cast_precision_loss, reason = "so many ratings there never are")]
    let average = (ratings > 0).then(|| sum as f64 / ratings as f64);
    Ok(Reply::ok(Satisfaction { ratings, average, stars }))
}
