//! Claims, leases, and what a step leaves behind. Every write here carries the claim's fencing token, or stands in a transaction
//! that renewed the claim by it: a process that lost its lease, or an erasure that was cancelled meanwhile, changes nothing.

use lethe_ids::{ErasureId, TenantId};
use lethe_service::{Database, TenantTx};
use time::OffsetDateTime;

use super::step::position;
use crate::{
    certificate::LedgerReference,
    domain::{Code, State, Step},
};

/// A claim on an erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Whose erasure.
    pub tenant: TenantId,
    /// Which.
    pub erasure: ErasureId,
    /// The fencing token.
    pub token: i64,
}

/// Erasures of any tenant that are due, the longest waiting first.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn due(
    db: &Database,
    now: OffsetDateTime,
    limit: u32,
) -> Result<Vec<(TenantId, ErasureId)>, sqlx::Error> {
    let rows: Vec<(uuid::Uuid, uuid::Uuid)> = sqlx::query_as(
        "select tenant_id, erasure_id from erasures where next_attempt_at <= $1 order by next_attempt_at limit $2",
    )
    .bind(now)
    .bind(i64::from(limit))
    .fetch_all(db.jobs())
    .await?;
    Ok(rows.into_iter().map(|(tenant, erasure)| (TenantId::new(tenant), ErasureId::new(erasure))).collect())
}

/// Claims an erasure that is due until `until`; `None` when another process was first.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn claim(
    tx: &mut TenantTx,
    erasure: ErasureId,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<Option<Lease>, sqlx::Error> {
    let tenant = tx.tenant();
    let token: Option<i64> = sqlx::query_scalar(
        "update erasures set lease_token = lease_token + 1, next_attempt_at = $4
         where tenant_id = $1 and erasure_id = $2 and next_attempt_at <= $3 returning lease_token",
    )
    .bind(tenant.uuid())
    .bind(erasure.uuid())
    .bind(now)
    .bind(until)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(token.map(|token| Lease { tenant, erasure, token }))
}

/// Keeps the claim until `until`; `false` when it is lost. Locks the row: what follows in the transaction is safe.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn renew(tx: &mut TenantTx, lease: Lease, until: OffsetDateTime) -> Result<bool, sqlx::Error> {
    release(tx, lease, Some(until)).await
}

/// Gives the claim back: due again at `next`, or never by itself. `false` when it is lost.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn release(
    tx: &mut TenantTx,
    lease: Lease,
    next: Option<OffsetDateTime>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "update erasures set next_attempt_at = $4 where tenant_id = $1 and erasure_id = $2 and lease_token = $3",
    )
    .bind(lease.tenant.uuid())
    .bind(lease.erasure.uuid())
    .bind(lease.token)
    .bind(next)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Passes the point of no return, once; `false` when the claim is lost.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn start_fencing(
    tx: &mut TenantTx,
    lease: Lease,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "update erasures set fencing_at = coalesce(fencing_at, $4)
         where tenant_id = $1 and erasure_id = $2 and lease_token = $3 and state = 'confirmed'",
    )
    .bind(lease.tenant.uuid())
    .bind(lease.erasure.uuid())
    .bind(lease.token)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Enters the following state and dates it.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn enter(
    tx: &mut TenantTx,
    lease: Lease,
    state: State,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update erasures set state = $4, version = version + 1,
             fenced_at      = case when $4 = 'fenced'      then $5 else fenced_at      end,
             purged_at      = case when $4 = 'purged'      then $5 else purged_at      end,
             verified_at    = case when $4 = 'verified'    then $5 else verified_at    end,
             re_verified_at = case when $4 = 're_verified' then $5 else re_verified_at end
         where tenant_id = $1 and erasure_id = $2 and lease_token = $3",
    )
    .bind(lease.tenant.uuid())
    .bind(lease.erasure.uuid())
    .bind(lease.token)
    .bind(state.text())
    .bind(now)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// A step is done.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn finish_step(
    tx: &mut TenantTx,
    lease: Lease,
    (step, participant): (Step, Option<usize>),
    answer: Option<&[u8]>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update erasure_steps set done_at = $5, answer = $6, attempts = attempts + 1, waits_for = null,
             next_attempt_at = null
         where tenant_id = $1 and erasure_id = $2 and step = $3 and position = $4",
    )
    .bind(lease.tenant.uuid())
    .bind(lease.erasure.uuid())
    .bind(step.text())
    .bind(position(participant))
    .bind(now)
    .bind(answer)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Notes whether something of it is kept under a legal hold.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn note_held(tx: &mut TenantTx, lease: Lease, held: bool) -> Result<(), sqlx::Error> {
    sqlx::query("update erasures set held = $4 where tenant_id = $1 and erasure_id = $2 and lease_token = $3")
        .bind(lease.tenant.uuid())
        .bind(lease.erasure.uuid())
        .bind(lease.token)
        .bind(held)
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// Puts another answer in the place of the one that a step keeps.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn replace_answer(
    tx: &mut TenantTx,
    lease: Lease,
    (step, participant): (Step, Option<usize>),
    answer: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update erasure_steps set answer = $5
         where tenant_id = $1 and erasure_id = $2 and step = $3 and position = $4",
    )
    .bind(lease.tenant.uuid())
    .bind(lease.erasure.uuid())
    .bind(step.text())
    .bind(position(participant))
    .bind(answer)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// A step failed, or must wait: counted when `code` says why.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn fail_step(
    tx: &mut TenantTx,
    lease: Lease,
    (step, participant): (Step, Option<usize>),
    code: Option<&Code>,
    next: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update erasure_steps set attempts = attempts + case when $5::text is null then 0 else 1 end,
             waits_for = $5, next_attempt_at = $6
         where tenant_id = $1 and erasure_id = $2 and step = $3 and position = $4",
    )
    .bind(lease.tenant.uuid())
    .bind(lease.erasure.uuid())
    .bind(step.text())
    .bind(position(participant))
    .bind(code.map(Code::text))
    .bind(next)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Something was found: the participant's purge is not done after all.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn reset_purge(
    tx: &mut TenantTx,
    lease: Lease,
    participant: Option<usize>,
    next: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update erasure_steps set done_at = null, waits_for = $5, next_attempt_at = $6
         where tenant_id = $1 and erasure_id = $2 and step = $3 and position = $4",
    )
    .bind(lease.tenant.uuid())
    .bind(lease.erasure.uuid())
    .bind(Step::Purge.text())
    .bind(position(participant))
    .bind(Code::FOUND_AFTER_PURGE.text())
    .bind(next)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Where the rights ledger has the erasure.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn recorded(tx: &mut TenantTx, lease: Lease, entry: LedgerReference) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update erasures set ledger_number = $4, ledger_digest = $5
         where tenant_id = $1 and erasure_id = $2 and lease_token = $3",
    )
    .bind(lease.tenant.uuid())
    .bind(lease.erasure.uuid())
    .bind(lease.token)
    .bind(i64::try_from(entry.number).unwrap_or(i64::MAX))
    .bind(&entry.digest.0[..])
    .execute(&mut **tx)
    .await
    .map(drop)
}
