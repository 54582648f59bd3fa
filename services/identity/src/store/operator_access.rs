//! What operators asked for and were granted.

use lethe_ids::{MemberId, OperatorAccessId};
use lethe_proto::identity::{OperatorAccessReason, OperatorAccessState};
use lethe_service::{Limit, PageKey, TenantTx};
use sqlx::{Row, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::operator_access::{Permissions, State, Terms};

/// An access as it is kept.
#[derive(Debug, Clone)]
pub struct OperatorAccessRow {
    /// Its id.
    pub id: OperatorAccessId,
    /// What was asked for; once granted, what was.
    pub terms: Terms,
    /// Where it stands.
    pub state: State,
    /// When it was asked for.
    pub requested_at: OffsetDateTime,
    /// Who granted or denied, and when.
    pub decided: Option<(MemberId, OffsetDateTime)>,
    /// When it ends.
    pub ends_at: Option<OffsetDateTime>,
    /// When it became a session.
    pub opened_at: Option<OffsetDateTime>,
}

impl OperatorAccessRow {
    /// Where it stands at `now`.
    pub fn state_at(&self, now: OffsetDateTime) -> OperatorAccessState {
        self.state.at(self.requested_at, self.ends_at, now)
    }
}

fn read(row: &PgRow) -> Result<OperatorAccessRow, sqlx::Error> {
    let wrong = |what: &'static str| sqlx::Error::Decode(what.into());
    let decided_by: Option<Uuid> = row.try_get("decided_by")?;
    let decided_at: Option<OffsetDateTime> = row.try_get("decided_at")?;
    let reason = OperatorAccessReason::try_from(i32::from(row.try_get::<i16, _>("reason")?));
    Ok(OperatorAccessRow {
        id: OperatorAccessId::new(row.try_get("operator_access_id")?),
        terms: Terms {
            operator: row.try_get("operator")?,
            reason: reason.map_err(|_| wrong("no reason"))?,
            ticket: row.try_get("ticket")?,
            permissions: Permissions::from_numbers(&row.try_get::<Vec<i16>, _>("permissions")?),
            hours: row.try_get("hours")?,
        },
        state: State::of(row.try_get("state")?).ok_or_else(|| wrong("no state"))?,
        requested_at: row.try_get("requested_at")?,
        decided: decided_by.map(MemberId::new).zip(decided_at),
        ends_at: row.try_get("ends_at")?,
        opened_at: row.try_get("opened_at")?,
    })
}

/// Inserts an access.
pub async fn insert(tx: &mut TenantTx, row: &OperatorAccessRow) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into operator_access (tenant_id, operator_access_id, operator, reason, ticket, permissions, hours, state,
                                      requested_at, decided_by, decided_at, ends_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(tenant.uuid())
    .bind(row.id.uuid())
    .bind(&row.terms.operator)
    .bind(row.terms.reason as i16)
    .bind(&row.terms.ticket)
    .bind(row.terms.permissions.numbers())
    .bind(row.terms.hours)
    .bind(row.state as i16)
    .bind(row.requested_at)
    .bind(row.decided.map(|(by, _)| by.uuid()))
    .bind(row.decided.map(|(_, at)| at))
    .bind(row.ends_at)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// An access that nobody else decides on until the transaction ends.
pub async fn lock(
    tx: &mut TenantTx,
    access: OperatorAccessId,
) -> Result<Option<OperatorAccessRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select operator_access_id, operator, reason, ticket, permissions, hours, state, requested_at, decided_by,
                decided_at, ends_at, opened_at
           from operator_access where tenant_id = $1 and operator_access_id = $2 for update",
    )
    .bind(tenant.uuid())
    .bind(access.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Writes what was decided.
pub async fn decide(tx: &mut TenantTx, row: &OperatorAccessRow) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "update operator_access set permissions = $3, hours = $4, state = $5, decided_by = $6, decided_at = $7, ends_at = $8
          where tenant_id = $1 and operator_access_id = $2",
    )
    .bind(tenant.uuid())
    .bind(row.id.uuid())
    .bind(row.terms.permissions.numbers())
    .bind(row.terms.hours)
    .bind(row.state as i16)
    .bind(row.decided.map(|(by, _)| by.uuid()))
    .bind(row.decided.map(|(_, at)| at))
    .bind(row.ends_at)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Notes the session that it became.
pub async fn open(
    tx: &mut TenantTx,
    access: OperatorAccessId,
    token_hash: &[u8; 32],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "update operator_access set token_hash = $3, opened_at = $4 where tenant_id = $1 and operator_access_id = $2",
    )
    .bind(tenant.uuid())
    .bind(access.uuid())
    .bind(token_hash.as_slice())
    .bind(now)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// The access whose token has this hash; before when no principal of the tenant counts as issued; the tenant's plan.
pub async fn by_token(
    tx: &mut TenantTx,
    token_hash: &[u8; 32],
) -> Result<Option<(OperatorAccessRow, i64, String)>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select operator_access_id, operator, reason, ticket, permissions, hours, state, requested_at, decided_by,
                decided_at, ends_at, opened_at, t.void_before_ms, t.plan
           from operator_access a join tenants t using (tenant_id) where a.tenant_id = $1 and token_hash = $2",
    )
    .bind(tenant.uuid())
    .bind(token_hash.as_slice())
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| Ok((read(&row)?, row.try_get("void_before_ms")?, row.try_get("plan")?))).transpose()
}

/// The access, when principals of it that were issued then still stand.
pub async fn standing(
    tx: &mut TenantTx,
    access: OperatorAccessId,
    issued_at_ms: i64,
    now: OffsetDateTime,
) -> Result<Option<OperatorAccessRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select operator_access_id, operator, reason, ticket, permissions, hours, state, requested_at, decided_by,
                decided_at, ends_at, opened_at
           from operator_access a join tenants t using (tenant_id)
          where a.tenant_id = $1 and a.operator_access_id = $2 and a.state = 2 and a.ends_at > $4
            and a.token_hash is not null and t.void_before_ms <= $3",
    )
    .bind(tenant.uuid())
    .bind(access.uuid())
    .bind(issued_at_ms)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// How many wait for the tenant that were asked for after `since`.
pub async fn waiting(tx: &mut TenantTx, since: OffsetDateTime) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "select count(*) from operator_access where tenant_id = $1 and state = 1 and requested_at > $2",
    )
    .bind(tenant.uuid())
    .bind(since)
    .fetch_one(&mut **tx)
    .await
}

/// Accesses, newest first, one more than the limit.
pub async fn list(
    tx: &mut TenantTx,
    after: Option<PageKey>,
    limit: Limit,
) -> Result<Vec<OperatorAccessRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let (at, id) = super::after(after);
    let rows = sqlx::query(
        "select operator_access_id, operator, reason, ticket, permissions, hours, state, requested_at, decided_by,
                decided_at, ends_at, opened_at
           from operator_access
          where tenant_id = $1 and ($2::timestamptz is null or (requested_at, operator_access_id) < ($2, $3::uuid))
          order by requested_at desc, operator_access_id desc limit $4",
    )
    .bind(tenant.uuid())
    .bind(at)
    .bind(id)
    .bind(limit.and_one())
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(read).collect()
}
