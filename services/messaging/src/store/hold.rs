//! Legal holds: what nothing may delete until they are released. Whoever deletes asks here, under the lock of the head that
//! placing a hold takes too.

use lethe_ids::{ContactId, ConversationId, HoldId, ScopeId};
use lethe_service::TenantTx;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Error;

/// Refuses to change what is held: the contact, or the conversation. The caller holds the lock of the head.
///
/// # Errors
/// [`Error::Held`].
pub(crate) async fn refuse_if_held(
    tx: &mut TenantTx,
    contact: ContactId,
    conversation: ConversationId,
) -> Result<(), Error> {
    let tenant = tx.tenant();
    let held: bool = sqlx::query_scalar(
        "select exists (select from holds where tenant_id = $1 and held_contact = $2
                           and (held_conversation is null or held_conversation = $3))",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .bind(conversation.uuid())
    .fetch_one(&mut **tx)
    .await?;
    if held { Err(Error::Held) } else { Ok(()) }
}

/// Refuses to change what is held of the contact itself. The caller holds the lock of the head.
///
/// # Errors
/// [`Error::Held`].
pub(crate) async fn refuse_if_contact_held(tx: &mut TenantTx, contact: ContactId) -> Result<(), Error> {
    if is_contact_held(tx, contact).await? { Err(Error::Held) } else { Ok(()) }
}

/// Whether all of the contact is held.
pub(crate) async fn is_contact_held(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "select exists (select from holds where tenant_id = $1 and held_contact = $2 and held_conversation is null)",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .fetch_one(&mut **tx)
    .await
}

/// Those of `conversations` that are held one by one.
pub(crate) async fn held_of(
    tx: &mut TenantTx,
    conversations: &[ConversationId],
) -> sqlx::Result<Vec<ConversationId>> {
    let tenant = tx.tenant();
    let ids: Vec<Uuid> = conversations.iter().map(|id| id.uuid()).collect();
    let held: Vec<Uuid> = sqlx::query_scalar(
        "select distinct held_conversation from holds
          where tenant_id = $1 and held_conversation = any ($2) order by 1",
    )
    .bind(tenant.uuid())
    .bind(ids)
    .fetch_all(&mut **tx)
    .await?;
    Ok(held.into_iter().map(ConversationId::new).collect())
}

/// Conversations that were held when the scope was fenced, and are so still.
pub(crate) async fn held_of_scope(tx: &mut TenantTx, scope: ScopeId) -> sqlx::Result<Vec<ConversationId>> {
    let tenant = tx.tenant();
    let held: Vec<Uuid> = sqlx::query_scalar(
        "select distinct h.held_conversation from fences f
           join holds h on h.tenant_id = f.tenant_id and h.held_conversation = any (f.held)
          where f.tenant_id = $1 and f.scope_id = $2 order by 1",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .fetch_all(&mut **tx)
    .await?;
    Ok(held.into_iter().map(ConversationId::new).collect())
}

/// Whose conversation it is.
pub(crate) async fn contact_of(
    tx: &mut TenantTx,
    conversation: ConversationId,
) -> sqlx::Result<Option<ContactId>> {
    let tenant = tx.tenant();
    let contact: Option<Uuid> = sqlx::query_scalar(
        "select contact_id::uuid from conversations where tenant_id = $1 and conversation_id = $2",
    )
    .bind(tenant.uuid())
    .bind(conversation.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    Ok(contact.map(ContactId::new))
}

/// Places a hold; `false` when its id is known. The caller holds the lock of the head.
pub(crate) async fn insert(
    tx: &mut TenantTx,
    hold: HoldId,
    contact: ContactId,
    conversation: Option<ConversationId>,
    at: OffsetDateTime,
) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let inserted = sqlx::query(
        "insert into holds (tenant_id, hold_id, held_contact, held_conversation, placed_at)
         values ($1, $2, $3, $4, $5) on conflict do nothing",
    )
    .bind(tenant.uuid())
    .bind(hold.uuid())
    .bind(contact.uuid())
    .bind(conversation.map(ConversationId::uuid))
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Whether the hold of that id was released; `None` when there is none.
pub(crate) async fn is_released(tx: &mut TenantTx, hold: HoldId) -> sqlx::Result<Option<bool>> {
    let tenant = tx.tenant();
    sqlx::query_scalar("select released_at is not null from holds where tenant_id = $1 and hold_id = $2")
        .bind(tenant.uuid())
        .bind(hold.uuid())
        .fetch_optional(&mut **tx)
        .await
}

/// Releases a hold, also one that is not placed yet and then never is. Answers whether what it held is in a scope that is
/// being erased and waits for nothing else now; the same when it is asked again. Nothing says any more what it held.
pub(crate) async fn release(tx: &mut TenantTx, hold: HoldId, at: OffsetDateTime) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "insert into holds as h (tenant_id, hold_id, placed_at, released_at) values ($1, $2, $3, $3)
         on conflict (tenant_id, hold_id) do update
            set released_at = coalesce(h.released_at, $3), held_contact = null, held_conversation = null,
                being_erased = h.being_erased or exists (
                  select from fences f where f.tenant_id = h.tenant_id and h.held_conversation = any (f.held))
         returning being_erased",
    )
    .bind(tenant.uuid())
    .bind(hold.uuid())
    .bind(at)
    .fetch_one(&mut **tx)
    .await
}

/// Forgets at most `most` that were released before `before`. Answers how many.
pub(crate) async fn forget(tx: &mut TenantTx, before: OffsetDateTime, most: i64) -> sqlx::Result<u64> {
    let tenant = tx.tenant();
    let gone = sqlx::query(
        "delete from holds where tenant_id = $1 and hold_id in
           (select hold_id from holds where tenant_id = $1 and released_at < $2 limit $3)",
    )
    .bind(tenant.uuid())
    .bind(before)
    .bind(most)
    .execute(&mut **tx)
    .await?;
    Ok(gone.rows_affected())
}
