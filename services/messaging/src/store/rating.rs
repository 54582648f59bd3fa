//! Ratings: one for each time that a conversation was resolved.

use lethe_ids::{ConversationId, RatingId};
use lethe_service::TenantTx;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

/// A rating as it is stored.
#[derive(Debug, FromRow)]
pub(crate) struct RatingRow {
    rating_id: Uuid,
    conversation_id: Uuid,
    /// Of which resolution.
    pub(crate) resolution: i32,
    /// 1 to 5.
    pub(crate) stars: i16,
    /// Sealed; its header names subject and unit.
    pub(crate) comment: Option<Vec<u8>>,
    /// When.
    pub(crate) created_at: OffsetDateTime,
}

impl RatingRow {
    /// Which rating.
    pub(crate) fn id(&self) -> RatingId {
        RatingId::new(self.rating_id)
    }
    /// Of which conversation.
    pub(crate) fn conversation(&self) -> ConversationId {
        ConversationId::new(self.conversation_id)
    }
}

/// Adds a rating. `false` when the resolution has one. The caller holds the lock of the head.
pub(crate) async fn insert(
    tx: &mut TenantTx,
    (rating, conversation, resolution): (RatingId, ConversationId, i32),
    stars: i16,
    comment: Option<&[u8]>,
    at: OffsetDateTime,
) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let inserted = sqlx::query(
        "insert into ratings (tenant_id, rating_id, conversation_id, resolution, stars, comment, created_at)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
    )
    .bind(tenant.uuid())
    .bind(rating.uuid())
    .bind(conversation.uuid())
    .bind(resolution)
    .bind(stars)
    .bind(comment)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// One rating, wherever it is.
pub(crate) async fn find(tx: &mut TenantTx, rating: RatingId) -> sqlx::Result<Option<RatingRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select rating_id, conversation_id, resolution, stars, comment, created_at from ratings
          where tenant_id = $1 and rating_id = $2",
    )
    .bind(tenant.uuid())
    .bind(rating.uuid())
    .fetch_optional(&mut **tx)
    .await
}

/// The newest ratings of a conversation older than `before`. Whether the conversation is there, the caller has asked.
pub(crate) async fn list(
    tx: &mut TenantTx,
    conversation: ConversationId,
    before: Uuid,
    most: i64,
) -> sqlx::Result<Vec<RatingRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select rating_id, conversation_id, resolution, stars, comment, created_at from ratings
          where tenant_id = $1 and conversation_id = $2 and rating_id < $3
          order by rating_id desc limit $4",
    )
    .bind(tenant.uuid())
    .bind(conversation.uuid())
    .bind(before)
    .bind(most)
    .fetch_all(&mut **tx)
    .await
}

/// How many ratings of each number of stars were given from `from` until before `until`. What is fenced or under
/// restriction is not counted.
pub(crate) async fn tally(
    tx: &mut TenantTx,
    from: OffsetDateTime,
    until: OffsetDateTime,
) -> sqlx::Result<Vec<(i16, i64)>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select r.stars, count(*) from ratings r
           join conversations c on c.tenant_id = r.tenant_id and c.conversation_id = r.conversation_id
           join contact_head h on h.tenant_id = c.tenant_id and h.contact_id = c.contact_id
          where r.tenant_id = $1 and r.created_at >= $2 and r.created_at < $3 and not h.fenced and h.restriction = 0
          group by r.stars",
    )
    .bind(tenant.uuid())
    .bind(from)
    .bind(until)
    .fetch_all(&mut **tx)
    .await
}
