//! Rows of `erasures` and `erasure_participants` up to the point of no return.

use lethe_access::Actor;
use lethe_ids::{ContactId, ConversationId, ErasureId, ScopeId, SubjectId, UnitId};
use lethe_service::{Limit, PageKey, TenantTx};
use sqlx::{FromRow, Row, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::damaged;
use crate::domain::{Confirmation, Mode, State};

/// An erasure's row.
#[derive(Debug, Clone)]
pub struct Erasure {
    /// Its id.
    pub id: ErasureId,
    /// Whose it is, from this row or from the fence; `None` once both forgot.
    pub contact: Option<ContactId>,
    /// How much of the contact.
    pub mode: Mode,
    /// Of [`Mode::Conversation`]: which, as long as it is known whose it is.
    pub conversation: Option<ConversationId>,
    /// The contact's addresses stay blocked.
    pub suppress: bool,
    /// Where it stands.
    pub state: State,
    /// Counted up with each state.
    pub version: u64,
    /// Receipt of the request.
    pub received_at: OffsetDateTime,
    /// The end of the period.
    pub due_at: OffsetDateTime,
    /// Its row was made.
    pub requested_at: OffsetDateTime,
    /// A member confirmed.
    pub confirmed_at: Option<OffsetDateTime>,
    /// The point of no return was passed.
    pub fencing_at: Option<OffsetDateTime>,
    /// All were fenced.
    pub fenced_at: Option<OffsetDateTime>,
    /// All had purged.
    pub purged_at: Option<OffsetDateTime>,
    /// All had verified.
    pub verified_at: Option<OffsetDateTime>,
    /// The first certificate.
    pub certified_at: Option<OffsetDateTime>,
    /// The second one.
    pub re_verified_at: Option<OffsetDateTime>,
    /// What is kept of the token.
    pub confirmation: Confirmation,
    /// Never used again.
    pub scope: ScopeId,
    /// The two secrets of the censuses' key.
    pub census_secrets: (SubjectId, UnitId),
    /// Whose it is, committed to.
    pub commitment: Option<[u8; 32]>,
    /// Number and digest of the ledger's entry.
    pub ledger: Option<(u64, [u8; 32])>,
    /// Of whoever has claimed it.
    pub lease_token: i64,
}

/// Column names, with the contact from wherever it still stands.
macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "select e.*, coalesce(e.contact_id, f.contact_id)::uuid as whose,
                    coalesce(e.conversation_id, f.conversation_id)::uuid as which from erasures e
             left join fences f on f.tenant_id = e.tenant_id and f.erasure_id = e.erasure_id ",
            $rest
        )
    };
}

impl FromRow<'_, PgRow> for Erasure {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let bytes32 = |name: &'static str| -> Result<Option<[u8; 32]>, sqlx::Error> {
            let bytes: Option<Vec<u8>> = row.try_get(name)?;
            bytes.map(|bytes| bytes.try_into().map_err(|_| damaged(name))).transpose()
        };
        let ledger: Option<i64> = row.try_get("ledger_number")?;
        Ok(Self {
            id: ErasureId::new(row.try_get("erasure_id")?),
            contact: row.try_get::<Option<Uuid>, _>("whose")?.map(ContactId::new),
            mode: row.try_get::<&str, _>("mode")?.parse().map_err(|_| damaged("mode"))?,
            conversation: row.try_get::<Option<Uuid>, _>("which")?.map(ConversationId::new),
            suppress: row.try_get("suppress")?,
            state: row.try_get::<&str, _>("state")?.parse().map_err(|_| damaged("state"))?,
            version: row.try_get::<i64, _>("version")?.unsigned_abs(),
            received_at: row.try_get("received_at")?,
            due_at: row.try_get("due_at")?,
            requested_at: row.try_get("requested_at")?,
            confirmed_at: row.try_get("confirmed_at")?,
            fencing_at: row.try_get("fencing_at")?,
            fenced_at: row.try_get("fenced_at")?,
            purged_at: row.try_get("purged_at")?,
            verified_at: row.try_get("verified_at")?,
            certified_at: row.try_get("certified_at")?,
            re_verified_at: row.try_get("re_verified_at")?,
            confirmation: Confirmation {
                hash: bytes32("confirmation_hash")?.ok_or_else(|| damaged("confirmation_hash"))?,
                expires_at: row.try_get("confirmation_expires_at")?,
            },
            scope: ScopeId::new(row.try_get("scope_id")?),
            census_secrets: (
                SubjectId::new(row.try_get("census_subject")?),
                UnitId::new(row.try_get("census_unit")?),
            ),
            commitment: bytes32("commitment")?,
            ledger: match (ledger, bytes32("ledger_digest")?) {
                (Some(number), Some(digest)) => Some((number.unsigned_abs(), digest)),
                _ => None,
            },
            lease_token: row.try_get("lease_token")?,
        })
    }
}

/// A row to be made.
#[derive(Debug)]
pub struct NewErasure<'a> {
    /// Its id.
    pub id: ErasureId,
    /// Whose data.
    pub contact: ContactId,
    /// How much of it.
    pub mode: Mode,
    /// Of [`Mode::Conversation`]: which.
    pub conversation: Option<ConversationId>,
    /// The contact's addresses stay blocked.
    pub suppress: bool,
    /// Who asks.
    pub actor: Actor,
    /// When the person asked.
    pub received_at: OffsetDateTime,
    /// The end of the period.
    pub due_at: OffsetDateTime,
    /// Now.
    pub requested_at: OffsetDateTime,
    /// What is kept of the token.
    pub confirmation: &'a Confirmation,
    /// New and random.
    pub scope: ScopeId,
    /// New and random.
    pub census_secrets: (SubjectId, UnitId),
    /// Names and encoded counts, in the order of fencing.
    pub participants: &'a [(String, Vec<u8>)],
}

/// Makes an erasure with its participants.
///
/// # Errors
/// A duplicate ([`super::is_duplicate`]) when the contact has an open one of the kind.
pub async fn insert(tx: &mut TenantTx, new: &NewErasure<'_>) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "insert into erasures (tenant_id, erasure_id, contact_id, state, version, requested_by, received_at,
             due_at, requested_at, confirmation_hash, confirmation_expires_at, scope_id, census_subject,
             census_unit, lease_token, mode, conversation_id, suppress)
         values ($1, $2, $3, 'requested', 1, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $13, $14, $15)",
    )
    .bind(tenant)
    .bind(new.id.uuid())
    .bind(new.contact.uuid())
    .bind(new.actor.uuid())
    .bind(new.received_at)
    .bind(new.due_at)
    .bind(new.requested_at)
    .bind(&new.confirmation.hash[..])
    .bind(new.confirmation.expires_at)
    .bind(new.scope.uuid())
    .bind(new.census_secrets.0.uuid())
    .bind(new.census_secrets.1.uuid())
    .bind(new.mode.text())
    .bind(new.conversation.map(ConversationId::uuid))
    .bind(new.suppress)
    .execute(&mut **tx)
    .await?;
    insert_participants(tx, new.id, new.participants).await
}

async fn insert_participants(
    tx: &mut TenantTx,
    id: ErasureId,
    participants: &[(String, Vec<u8>)],
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().uuid();
    for (position, (name, counted)) in (0_i16..).zip(participants) {
        sqlx::query(
            "insert into erasure_participants (tenant_id, erasure_id, position, participant, counted)
             values ($1, $2, $3, $4, $5)",
        )
        .bind(tenant)
        .bind(id.uuid())
        .bind(position)
        .bind(name)
        .bind(counted)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// New counts and a new token for an erasure that nobody confirmed. The earlier receipt counts.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn recount(tx: &mut TenantTx, id: ErasureId, new: &NewErasure<'_>) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "update erasures set confirmation_hash = $3, confirmation_expires_at = $4,
             received_at = least(received_at, $5), due_at = least(due_at, $6), mode = $7, suppress = $8
         where tenant_id = $1 and erasure_id = $2 and state = 'requested'",
    )
    .bind(tenant)
    .bind(id.uuid())
    .bind(&new.confirmation.hash[..])
    .bind(new.confirmation.expires_at)
    .bind(new.received_at)
    .bind(new.due_at)
    .bind(new.mode.text())
    .bind(new.suppress)
    .execute(&mut **tx)
    .await?;
    sqlx::query("delete from erasure_participants where tenant_id = $1 and erasure_id = $2")
        .bind(tenant)
        .bind(id.uuid())
        .execute(&mut **tx)
        .await?;
    insert_participants(tx, id, new.participants).await
}

/// The erasure of that id.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn get(tx: &mut TenantTx, id: ErasureId) -> Result<Option<Erasure>, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query_as(columns!("where e.tenant_id = $1 and e.erasure_id = $2"))
        .bind(tenant)
        .bind(id.uuid())
        .fetch_optional(&mut **tx)
        .await
}

/// The erasure of that id, which nobody else changes until the transaction ends.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn lock(tx: &mut TenantTx, id: ErasureId) -> Result<Option<Erasure>, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query_as(columns!("where e.tenant_id = $1 and e.erasure_id = $2 for update of e"))
        .bind(tenant)
        .bind(id.uuid())
        .fetch_optional(&mut **tx)
        .await
}

/// The contact's erasure of the kind that is not over, locked: of the contact as a whole, of that conversation, of its
/// e-mail.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn open_of(
    tx: &mut TenantTx,
    contact: ContactId,
    mode: Mode,
    conversation: Option<ConversationId>,
) -> Result<Option<Erasure>, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    let modes: Vec<&str> = match mode.is_whole() {
        true => vec![Mode::Everything.text(), Mode::ContactOnly.text()],
        false => vec![mode.text()],
    };
    sqlx::query_as(columns!(
        "where e.tenant_id = $1 and e.contact_id = $2 and e.mode = any($3)
           and e.conversation_id::uuid is not distinct from $4
           and e.state not in ('certified', 're_verified', 'cancelled') for update of e"
    ))
    .bind(tenant)
    .bind(contact.uuid())
    .bind(modes)
    .bind(conversation.map(ConversationId::uuid))
    .fetch_optional(&mut **tx)
    .await
}

/// What a list asks for.
#[derive(Debug, Clone, Copy)]
pub struct Requested {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those after this one, newest first.
    pub after: Option<PageKey>,
    /// How many; one more is read.
    pub limit: Limit,
}

/// Erasures, newest first.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn list(tx: &mut TenantTx, requested: Requested) -> Result<Vec<Erasure>, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query_as(columns!(
        "where e.tenant_id = $1 and ($2::text is null or e.state = $2)
           and ($3::timestamptz is null or (e.requested_at, e.erasure_id) < ($3, $4))
         order by e.requested_at desc, e.erasure_id desc limit $5"
    ))
    .bind(tenant)
    .bind(requested.state.map(State::text))
    .bind(requested.after.map(|key| key.at))
    .bind(requested.after.map(|key| key.id))
    .bind(requested.limit.and_one())
    .fetch_all(&mut **tx)
    .await
}

/// Names and encoded counts of an erasure's participants, in the order of fencing.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn participants(tx: &mut TenantTx, id: ErasureId) -> Result<Vec<(String, Vec<u8>)>, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query_as(
        "select participant, counted from erasure_participants
         where tenant_id = $1 and erasure_id = $2 order by position",
    )
    .bind(tenant)
    .bind(id.uuid())
    .fetch_all(&mut **tx)
    .await
}

/// `requested` to `confirmed`: due at once.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn confirm(
    tx: &mut TenantTx,
    id: ErasureId,
    actor: Actor,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "update erasures set state = 'confirmed', version = version + 1, confirmed_by = $3, confirmed_at = $4,
             next_attempt_at = $4
         where tenant_id = $1 and erasure_id = $2 and state = 'requested'",
    )
    .bind(tenant)
    .bind(id.uuid())
    .bind(actor.uuid())
    .bind(now)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// To `cancelled`, before the fence. Whoever had claimed it has lost it.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn cancel(
    tx: &mut TenantTx,
    id: ErasureId,
    actor: Actor,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "update erasures set state = 'cancelled', version = version + 1, cancelled_by = $3, cancelled_at = $4,
             next_attempt_at = null, lease_token = lease_token + 1
         where tenant_id = $1 and erasure_id = $2 and state in ('requested', 'confirmed') and fencing_at is null",
    )
    .bind(tenant)
    .bind(id.uuid())
    .bind(actor.uuid())
    .bind(now)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Which of these secrets belong to an erasure.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn owned_secrets(tx: &mut TenantTx, secrets: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query_scalar(
        "select census_subject from erasures where tenant_id = $1 and census_subject = any($2)
         union all
         select census_unit from erasures where tenant_id = $1 and census_unit = any($2)",
    )
    .bind(tenant)
    .bind(secrets)
    .fetch_all(&mut **tx)
    .await
}
