//! Rows of `fences`, and the statements by which this service takes part in an erasure. What the verifier reads is in
//! `verify.rs`, which shares no statement with these.

use lethe_ids::{ContactId, ConversationId, ErasureId, ScopeId};
use lethe_service::TenantTx;
use sqlx::{FromRow, Row, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::damaged;
use crate::domain::Mode;

/// This service's fence of a scope.
#[derive(Debug, Clone)]
pub struct Fence {
    /// The scope.
    pub scope: ScopeId,
    /// The erasure.
    pub erasure: ErasureId,
    /// Whose.
    pub contact: ContactId,
    /// The other ids of the person, each of which has its own bare fence. Not read back.
    pub others: Vec<ContactId>,
    /// How much of it.
    pub mode: Mode,
    /// Of [`Mode::Conversation`]: which.
    pub conversation: Option<ConversationId>,
    /// When it was committed.
    pub fenced_at: OffsetDateTime,
    /// What was there, sealed.
    pub census: Vec<u8>,
    /// The encoded FenceResponse.
    pub answer: Vec<u8>,
}

impl FromRow<'_, PgRow> for Fence {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            scope: ScopeId::new(row.try_get("scope_id")?),
            erasure: ErasureId::new(row.try_get("erasure_id")?),
            contact: ContactId::new(row.try_get("contact")?),
            others: Vec::new(),
            mode: row.try_get::<&str, _>("mode")?.parse().map_err(|_| damaged("mode"))?,
            conversation: row.try_get::<Option<Uuid>, _>("conversation")?.map(ConversationId::new),
            fenced_at: row.try_get("fenced_at")?,
            census: row.try_get("census")?,
            answer: row.try_get("answer")?,
        })
    }
}

/// What this service holds about what is erased.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnRows {
    /// Erasures that name the contact or the conversation.
    pub erasures: Vec<Uuid>,
    /// Keys of the requests for them.
    pub idempotency_keys: Vec<String>,
}

/// Makes the fence; nothing when there is one already.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn fence(tx: &mut TenantTx, new_id: impl Fn() -> Uuid, fence: &Fence) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "insert into fences (tenant_id, contact_id, scope_id, erasure_id, fenced_at, census, answer, fence_id, mode,
                             conversation_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing",
    )
    .bind(tenant)
    .bind(fence.contact.uuid())
    .bind(fence.scope.uuid())
    .bind(fence.erasure.uuid())
    .bind(fence.fenced_at)
    .bind(&fence.census)
    .bind(&fence.answer)
    .bind(new_id())
    .bind(fence.mode.text())
    .bind(fence.conversation.map(ConversationId::uuid))
    .execute(&mut **tx)
    .await?;
    for other in &fence.others {
        sqlx::query(
            "insert into fences (tenant_id, contact_id, fence_id, mode)
             select $1, $2::uuid, $3, $4
              where not exists (select from fences where tenant_id = $1 and contact_id::uuid = $2 and mode = $4)",
        )
        .bind(tenant)
        .bind(other.uuid())
        .bind(new_id())
        .bind(fence.mode.text())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// The fence of that scope.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn fence_of(tx: &mut TenantTx, scope: ScopeId) -> Result<Option<Fence>, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query_as(
        "select scope_id, erasure_id, contact_id::uuid as contact, mode, conversation_id::uuid as conversation,
                fenced_at, census, answer from fences
         where tenant_id = $1 and scope_id = $2",
    )
    .bind(tenant)
    .bind(scope.uuid())
    .fetch_optional(&mut **tx)
    .await
}

/// Whether no erasure may be asked for this contact any more.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn is_fenced(tx: &mut TenantTx, contact: ContactId) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query_scalar(
        "select exists (select from fences where tenant_id = $1 and contact_id = $2
                           and mode in ('everything', 'contact_only'))",
    )
    .bind(tenant)
    .bind(contact.uuid())
    .fetch_one(&mut **tx)
    .await
}

/// Whether no erasure may be asked for this conversation any more.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn is_conversation_fenced(
    tx: &mut TenantTx,
    conversation: ConversationId,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query_scalar("select exists (select from fences where tenant_id = $1 and conversation_id = $2)")
        .bind(tenant)
        .bind(conversation.uuid())
        .fetch_one(&mut **tx)
        .await
}

/// Whose rows a statement is about.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// All that names the contact, or one of the other ids of the person.
    Contact(ContactId, &'a [ContactId]),
    /// This erasure, and all that names one of the conversations.
    Part(ErasureId, &'a [ConversationId]),
}

impl Whose<'_> {
    /// As the statements take it: contacts, erasure, conversations.
    fn columns(self) -> (Vec<Uuid>, Option<Uuid>, Vec<Uuid>) {
        match self {
            Self::Contact(contact, others) => {
                ([contact].iter().chain(others).map(|id| id.uuid()).collect(), None, Vec::new())
            }
            Self::Part(erasure, conversations) => {
                (Vec::new(), Some(erasure.uuid()), conversations.iter().map(|id| id.uuid()).collect())
            }
        }
    }
}

/// The rows that are to let go of what is erased.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn own_rows(tx: &mut TenantTx, whose: Whose<'_>) -> Result<OwnRows, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    let (contacts, erasure, conversations) = whose.columns();
    let erasures: Vec<Uuid> = sqlx::query_scalar(
        "select erasure_id from erasures
          where tenant_id = $1 and (contact_id::uuid = any($2) or (erasure_id = $3 and contact_id is not null)
                                    or conversation_id::uuid = any($4)) order by erasure_id",
    )
    .bind(tenant)
    .bind(contacts)
    .bind(erasure)
    .bind(conversations)
    .fetch_all(&mut **tx)
    .await?;
    let idempotency_keys = sqlx::query_scalar(
        "select key from idempotency_keys
         where tenant_id = $1 and erasure_id = any($2) order by key",
    )
    .bind(tenant)
    .bind(&erasures)
    .fetch_all(&mut **tx)
    .await?;
    Ok(OwnRows { erasures, idempotency_keys })
}

/// Holds the contact's erasures that are being fenced, or soon will be, as they are until the transaction ends.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn lock_open(tx: &mut TenantTx, whose: Whose<'_>) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().uuid();
    let (contacts, ..) = whose.columns();
    sqlx::query(
        "select from erasures where tenant_id = $1 and contact_id::uuid = any($2) and state in ('requested', 'confirmed')
          order by erasure_id for update",
    )
    .bind(tenant)
    .bind(contacts)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Whether an erasure of the contact's is being fenced that this service has no fence of yet: it needs to know whose it is.
/// One that waits for a hold, which may last for years, and that messaging, the first, has not fenced, is no reason to wait.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn is_another_being_fenced(tx: &mut TenantTx, whose: Whose<'_>) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    let (contacts, ..) = whose.columns();
    sqlx::query_scalar(
        "select exists (select from erasures e where e.tenant_id = $1 and e.contact_id::uuid = any($2)
                           and e.fencing_at is not null and e.state = 'confirmed'
                           and not exists (select from fences f where f.tenant_id = $1 and f.erasure_id = e.erasure_id)
                           and not exists (select from erasure_steps s where s.tenant_id = $1
                                 and s.erasure_id = e.erasure_id and s.step = 'fence' and s.position = 0
                                 and s.done_at is null and s.waits_for = 'LEGAL_HOLD'))",
    )
    .bind(tenant)
    .bind(contacts)
    .fetch_one(&mut **tx)
    .await
}

/// Takes contact and conversation out of the erasures that name them, and deletes the requests' keys.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn unlink(tx: &mut TenantTx, whose: Whose<'_>, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    let erasures = own_rows(tx, whose).await?.erasures;
    let tenant = tx.tenant().uuid();
    // Another one of the contact's that has not begun has nothing left to do, nor has one that a hold kept from beginning.
    sqlx::query(
        "update erasures e set state = 'cancelled', version = version + 1, cancelled_at = $3, next_attempt_at = null,
                lease_token = lease_token + 1
          where tenant_id = $1 and erasure_id = any($2) and state in ('requested', 'confirmed')
            and (fencing_at is null
                 or exists (select from erasure_steps s where s.tenant_id = $1 and s.erasure_id = e.erasure_id
                              and s.step = 'fence' and s.position = 0 and s.done_at is null
                              and s.waits_for = 'LEGAL_HOLD'))",
    )
    .bind(tenant)
    .bind(&erasures)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    sqlx::query("delete from idempotency_keys where tenant_id = $1 and erasure_id = any($2)")
        .bind(tenant)
        .bind(&erasures)
        .execute(&mut **tx)
        .await?;
    let (contacts, _, conversations) = whose.columns();
    // A hold that is over stays on record, and says no more of whom.
    sqlx::query(
        "update holds set contact_id = null, conversation_id = null, idempotency_key = hold_id::text
          where tenant_id = $1 and state = 'released' and (contact_id::uuid = any($2) or conversation_id::uuid = any($3))",
    )
    .bind(tenant)
    .bind(contacts)
    .bind(conversations)
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "update erasures set contact_id = null, conversation_id = null where tenant_id = $1 and erasure_id = any($2)",
    )
    .bind(tenant)
    .bind(&erasures)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// After the second certificate: the fence is a bare id of what was erased, and nothing here says which erasure was whose.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn forget(tx: &mut TenantTx, erasure: ErasureId) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().uuid();
    for statement in [
        "delete from fences where tenant_id = $1 and erasure_id = $2 and mode = 'email'",
        "update fences set scope_id = null, erasure_id = null, fenced_at = null, census = null, answer = null,
                contact_id = case when conversation_id is null then contact_id end
          where tenant_id = $1 and erasure_id = $2",
        // What the participants answered names conversations, where parts of a contact were erased.
        "update erasure_steps set answer = null where tenant_id = $1 and erasure_id = $2",
    ] {
        sqlx::query(statement).bind(tenant).bind(erasure.uuid()).execute(&mut **tx).await?;
    }
    Ok(())
}
