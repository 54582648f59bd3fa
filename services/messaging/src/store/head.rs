//! The head of a contact: its sequence, and what every change must ask first.

use lethe_ids::{ContactId, ConversationId};
use lethe_service::TenantTx;
use sqlx::FromRow;

use super::{hold, merge};
use crate::error::Error;

/// What every change must ask first.
#[derive(Debug, Clone, Copy, FromRow)]
pub(crate) struct Head {
    /// On the opt-out list.
    pub(crate) opted_out: bool,
    /// The ground of the restriction; 0 is none.
    pub(crate) restriction: i16,
    /// What the contact says is refused.
    pub(crate) banned: bool,
}

/// Locks the head until the transaction ends; `None` when there is no such contact, or it is fenced.
pub(crate) async fn lock(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<Option<Head>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select opted_out, restriction, banned from contact_head
          where tenant_id = $1 and contact_id = $2 and not fenced for update",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .fetch_optional(&mut **tx)
    .await
}

/// The same, of a contact who is there.
///
/// # Errors
/// [`Error::NotFound`], or [`Error::Merged`] for one that was merged.
pub(crate) async fn require(tx: &mut TenantTx, contact: ContactId) -> Result<Head, Error> {
    match lock(tx, contact).await? {
        Some(head) => Ok(head),
        None => Err(merge::missing(tx, contact).await?),
    }
}

/// As [`lock`], for a change of one conversation: `None` also when that is fenced.
pub(crate) async fn lock_for(
    tx: &mut TenantTx,
    contact: ContactId,
    conversation: ConversationId,
) -> sqlx::Result<Option<Head>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select opted_out, restriction, banned from contact_head
          where tenant_id = $1 and contact_id = $2 and not fenced and not ($3 = any (fenced_conversations))
            for update",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .bind(conversation.uuid())
    .fetch_optional(&mut **tx)
    .await
}

/// The same, of a conversation who is there, for a change of the `noun`.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Contended`] when it became another contact's since it was read.
pub(crate) async fn require_for(
    tx: &mut TenantTx,
    contact: ContactId,
    conversation: ConversationId,
    noun: &'static str,
) -> Result<Head, Error> {
    match lock_for(tx, contact, conversation).await? {
        Some(head) => Ok(head),
        None if hold::contact_of(tx, conversation).await?.is_some_and(|now| now != contact) => {
            Err(Error::Contended)
        }
        None => Err(Error::NotFound(noun)),
    }
}

/// Who the contact is now, if it, and the conversation if there is one, is there and not fenced: then neither does a fence rise
/// nor is it merged before the transaction ends.
pub(crate) async fn holds_off_fence(
    tx: &mut TenantTx,
    contact: ContactId,
    conversation: Option<ConversationId>,
) -> sqlx::Result<Option<ContactId>> {
    if is_held_off(tx, contact, conversation).await? {
        return Ok(Some(contact));
    }
    match merge::survivor_of(tx, contact).await? {
        Some(survivor) if is_held_off(tx, survivor, conversation).await? => Ok(Some(survivor)),
        _ => Ok(None),
    }
}

async fn is_held_off(
    tx: &mut TenantTx,
    contact: ContactId,
    conversation: Option<ConversationId>,
) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let found = sqlx::query(
        "select from contact_head
          where tenant_id = $1 and contact_id = $2 and not fenced and ($3 = any (fenced_conversations)) is not true
            for share",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .bind(conversation.map(ConversationId::uuid))
    .fetch_optional(&mut **tx)
    .await?;
    Ok(found.is_some())
}

/// Counts the sequence up and answers it. The caller holds the lock.
pub(crate) async fn count_up(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<i64> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "update contact_head set seq = seq + 1 where tenant_id = $1 and contact_id = $2 returning seq",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .fetch_one(&mut **tx)
    .await
}

/// Whether there is one, fenced or not.
pub(crate) async fn is_there(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    sqlx::query_scalar("select exists (select from contact_head where tenant_id = $1 and contact_id = $2)")
        .bind(tenant.uuid())
        .bind(contact.uuid())
        .fetch_one(&mut **tx)
        .await
}

/// The sequence as it stands.
pub(crate) async fn seq(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<i64> {
    let tenant = tx.tenant();
    sqlx::query_scalar("select seq from contact_head where tenant_id = $1 and contact_id = $2")
        .bind(tenant.uuid())
        .bind(contact.uuid())
        .fetch_one(&mut **tx)
        .await
}

/// Makes the head of a new contact; its sequence is 1.
pub(crate) async fn insert(tx: &mut TenantTx, contact: ContactId, opted_out: bool) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into contact_head (tenant_id, contact_id, seq, opted_out, restriction) values ($1, $2, 1, $3, 0)",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .bind(opted_out)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes whether the contact is on the opt-out list. The caller holds the lock.
pub(crate) async fn set_opted_out(
    tx: &mut TenantTx,
    contact: ContactId,
    opted_out: bool,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query("update contact_head set opted_out = $3 where tenant_id = $1 and contact_id = $2")
        .bind(tenant.uuid())
        .bind(contact.uuid())
        .bind(opted_out)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Writes whether what the contact says is refused. The caller holds the lock.
pub(crate) async fn set_banned(tx: &mut TenantTx, contact: ContactId, banned: bool) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query("update contact_head set banned = $3 where tenant_id = $1 and contact_id = $2")
        .bind(tenant.uuid())
        .bind(contact.uuid())
        .bind(banned)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Writes the ground of the restriction, 0 for none. The caller holds the lock.
pub(crate) async fn set_restriction(tx: &mut TenantTx, contact: ContactId, ground: i16) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query("update contact_head set restriction = $3 where tenant_id = $1 and contact_id = $2")
        .bind(tenant.uuid())
        .bind(contact.uuid())
        .bind(ground)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
