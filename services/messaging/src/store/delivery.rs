//! How far outbound messages have come, and how far a conversation was read.

use lethe_ids::{ConversationId, MessageId};
use lethe_proto::messaging::DeliveryState;
use lethe_service::TenantTx;
use time::OffsetDateTime;

/// Writes that a message has come to `state`. The caller holds the lock of the head and knows that this is forward.
pub(crate) async fn advance(
    tx: &mut TenantTx,
    message: MessageId,
    state: DeliveryState,
    failure: Option<&str>,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update messages
            set delivery = $3::smallint, failure = $4,
                sent_at = case when $3::smallint = 2 then $5 else sent_at end,
                delivered_at = case when $3::smallint = 3 then $5 else delivered_at end,
                read_at = case when $3::smallint = 4 then $5 else read_at end,
                failed_at = case when $3::smallint = 5 then $5 else failed_at end
          where tenant_id = $1 and message_id = $2",
    )
    .bind(tenant.uuid())
    .bind(message.uuid())
    .bind(state as i16)
    .bind(failure)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes that the contact has read all outbound messages up to `upto`, but what failed. Answers how many it had not. The
/// caller holds the lock of the head.
pub(crate) async fn read_by_contact(
    tx: &mut TenantTx,
    conversation: ConversationId,
    upto: i64,
    at: OffsetDateTime,
) -> sqlx::Result<u64> {
    let tenant = tx.tenant();
    let read = sqlx::query(
        "update messages set delivery = 4, read_at = $4
          where tenant_id = $1 and conversation_id = $2 and accepted_seq <= $3 and direction = 2
            and coalesce(delivery, 1) < 4",
    )
    .bind(tenant.uuid())
    .bind(conversation.uuid())
    .bind(upto)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(read.rows_affected())
}

/// Writes that a member has read the conversation up to `upto`. `false` when one had. The caller holds the lock of the head.
pub(crate) async fn read_by_member(
    tx: &mut TenantTx,
    conversation: ConversationId,
    upto: i64,
    at: OffsetDateTime,
) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let read = sqlx::query(
        "update conversations set read_seq = $3, read_at = $4
          where tenant_id = $1 and conversation_id = $2 and read_seq < $3",
    )
    .bind(tenant.uuid())
    .bind(conversation.uuid())
    .bind(upto)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(read.rows_affected() == 1)
}
