//! Rows of `holds`.

use lethe_access::Actor;
use lethe_ids::{ContactId, ConversationId, HoldId, TenantId};
use lethe_service::{Database, Limit, PageKey, TenantTx};
use sqlx::{FromRow, Row, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::damaged;
use crate::domain::{HoldReason, HoldState};

/// What is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// All of a contact.
    Contact(ContactId),
    /// One conversation.
    Conversation(ConversationId),
}

/// A hold's row.
#[derive(Debug, Clone)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// What it holds; `None` once that is erased.
    pub held: Option<Held>,
    /// Why.
    pub reason: HoldReason,
    /// A code.
    pub case_reference: String,
    /// It is released then.
    pub ends_at: OffsetDateTime,
    /// Where it stands.
    pub state: HoldState,
    /// Asked for.
    pub placed_at: OffsetDateTime,
    /// Released, by somebody or by its end.
    pub released_at: Option<OffsetDateTime>,
}

impl FromRow<'_, PgRow> for Hold {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let contact: Option<Uuid> = row.try_get("contact")?;
        let conversation: Option<Uuid> = row.try_get("conversation")?;
        Ok(Self {
            id: HoldId::new(row.try_get("hold_id")?),
            held: contact
                .map(|id| Held::Contact(ContactId::new(id)))
                .or(conversation.map(|id| Held::Conversation(ConversationId::new(id)))),
            reason: row.try_get::<&str, _>("reason")?.parse().map_err(|_| damaged("reason"))?,
            case_reference: row.try_get("case_reference")?,
            ends_at: row.try_get("ends_at")?,
            state: row.try_get::<&str, _>("state")?.parse().map_err(|_| damaged("state"))?,
            placed_at: row.try_get("placed_at")?,
            released_at: row.try_get("released_at")?,
        })
    }
}

macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "select hold_id, contact_id::uuid as contact, conversation_id::uuid as conversation, reason,
                    case_reference, ends_at, state, placed_at, released_at from holds ",
            $rest
        )
    };
}

/// Makes a hold that is being placed; `false` when the key was used before.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert_hold(
    tx: &mut TenantTx,
    hold: &Hold,
    actor: Actor,
    key: &str,
    next: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    let (contact, conversation) = match hold.held {
        Some(Held::Contact(id)) => (Some(id.uuid()), None),
        Some(Held::Conversation(id)) => (None, Some(id.uuid())),
        None => (None, None),
    };
    let done = sqlx::query(
        "insert into holds (tenant_id, hold_id, contact_id, conversation_id, reason, case_reference, ends_at, state,
                            placed_by, placed_at, idempotency_key, next_attempt_at)
         values ($1, $2, $3, $4, $5, $6, $7, 'placing', $8, $9, $10, $11) on conflict do nothing",
    )
    .bind(tenant)
    .bind(hold.id.uuid())
    .bind(contact)
    .bind(conversation)
    .bind(hold.reason.text())
    .bind(&hold.case_reference)
    .bind(hold.ends_at)
    .bind(actor.uuid())
    .bind(hold.placed_at)
    .bind(key)
    .bind(next)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The hold that a key made.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn hold_of_key(tx: &mut TenantTx, key: &str) -> Result<Option<Hold>, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query_as(columns!("where tenant_id = $1 and idempotency_key = $2"))
        .bind(tenant)
        .bind(key)
        .fetch_optional(&mut **tx)
        .await
}

/// The hold of that id.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn get_hold(tx: &mut TenantTx, id: HoldId) -> Result<Option<Hold>, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query_as(columns!("where tenant_id = $1 and hold_id = $2"))
        .bind(tenant)
        .bind(id.uuid())
        .fetch_optional(&mut **tx)
        .await
}

/// Holds, newest first.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn list_holds(
    tx: &mut TenantTx,
    after: Option<PageKey>,
    limit: Limit,
) -> Result<Vec<Hold>, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query_as(columns!(
        "where tenant_id = $1 and ($2::timestamptz is null or (placed_at, hold_id) < ($2, $3))
         order by placed_at desc, hold_id desc limit $4"
    ))
    .bind(tenant)
    .bind(after.map(|key| key.at))
    .bind(after.map(|key| key.id))
    .bind(limit.and_one())
    .fetch_all(&mut **tx)
    .await
}

/// Holds of any tenant that are due, the longest waiting first.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn due_holds(
    db: &Database,
    now: OffsetDateTime,
    most: i64,
) -> Result<Vec<(TenantId, HoldId)>, sqlx::Error> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select tenant_id, hold_id from holds where next_attempt_at <= $1 order by next_attempt_at limit $2",
    )
    .bind(now)
    .bind(most)
    .fetch_all(db.jobs())
    .await?;
    Ok(rows.into_iter().map(|(tenant, hold)| (TenantId::new(tenant), HoldId::new(hold))).collect())
}

/// From a state to the following one; `false` when it is not in that state.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn move_hold(
    tx: &mut TenantTx,
    id: HoldId,
    (from, to): (HoldState, HoldState),
    next: Option<OffsetDateTime>,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    let done = sqlx::query(
        "update holds set state = $4, next_attempt_at = $5
          where tenant_id = $1 and hold_id = $2 and state = $3",
    )
    .bind(tenant)
    .bind(id.uuid())
    .bind(from.text())
    .bind(to.text())
    .bind(next)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// To `releasing`, with who asked, if anybody did; `false` when it was released before.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn start_release(
    tx: &mut TenantTx,
    id: HoldId,
    actor: Option<Actor>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    let done = sqlx::query(
        "update holds set state = 'releasing', released_by = $3, released_at = $4, next_attempt_at = $4
          where tenant_id = $1 and hold_id = $2 and state in ('placing', 'active')",
    )
    .bind(tenant)
    .bind(id.uuid())
    .bind(actor.map(Actor::uuid))
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A hold that was refused is none.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn delete_hold(tx: &mut TenantTx, id: HoldId) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query("delete from holds where tenant_id = $1 and hold_id = $2 and state = 'placing'")
        .bind(tenant)
        .bind(id.uuid())
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// What it held is being erased: the hold stays on record, and says no more what that was.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn forget_held(tx: &mut TenantTx, id: HoldId) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "update holds set contact_id = null, conversation_id = null, idempotency_key = hold_id::text
          where tenant_id = $1 and hold_id = $2",
    )
    .bind(tenant)
    .bind(id.uuid())
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Whether a hold is on the whole contact, or on one of the conversations.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn is_held(
    tx: &mut TenantTx,
    contact: ContactId,
    conversation: Option<ConversationId>,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query_scalar(
        "select exists (select from holds where tenant_id = $1 and state <> 'released'
                           and (contact_id = $2 or conversation_id::uuid = $3))",
    )
    .bind(tenant)
    .bind(contact.uuid())
    .bind(conversation.map(ConversationId::uuid))
    .fetch_one(&mut **tx)
    .await
}

/// A hold was released: whatever waits for one is due again.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn wake_held(tx: &mut TenantTx, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "with waiting as (
           update erasure_steps s set next_attempt_at = $2 from erasures e
            where s.tenant_id = $1 and e.tenant_id = $1 and e.erasure_id = s.erasure_id and s.done_at is null
              and (s.waits_for = 'LEGAL_HOLD' or (e.held and e.state = 'certified' and s.step = 're_verify'
                                                  and s.position = 0))
           returning s.erasure_id)
         update erasures set next_attempt_at = $2
          where tenant_id = $1 and erasure_id in (select erasure_id from waiting)
            and state not in ('requested', 're_verified', 'cancelled')",
    )
    .bind(tenant)
    .bind(now)
    .execute(&mut **tx)
    .await
    .map(drop)
}
