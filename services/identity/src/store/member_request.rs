//! What members ask about their own data. Their words and the answers are sealed under the member.

use lethe_ids::{MemberId, MemberRequestId, SubjectId, UnitId};
use lethe_service::{Limit, PageKey, TenantTx};
use sqlx::{Row, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::member_request::{Kind, State};

/// A request as it is kept.
#[derive(Clone)]
pub struct MemberRequestRow {
    /// Its id.
    pub id: MemberRequestId,
    /// Whose.
    pub member: MemberId,
    /// What is asked.
    pub kind: Kind,
    /// Where it stands.
    pub state: State,
    /// When it came.
    pub received_at: OffsetDateTime,
    /// When it is due.
    pub due_at: OffsetDateTime,
    /// When it was answered.
    pub closed_at: Option<OffsetDateTime>,
    /// By whom: a member's id, or an API key's.
    pub closed_by: Option<String>,
    /// Sealed.
    pub grounds: Option<Vec<u8>>,
    /// Sealed.
    pub answer: Option<Vec<u8>>,
    /// The member's subject.
    pub subject: SubjectId,
    /// The unit of the member's profile.
    pub unit: UnitId,
}

fn read(row: &PgRow) -> Result<MemberRequestRow, sqlx::Error> {
    let corrupt = || sqlx::Error::Decode("no state of a member's request".into());
    Ok(MemberRequestRow {
        id: MemberRequestId::new(row.try_get("member_request_id")?),
        member: MemberId::new(row.try_get("member_id")?),
        kind: Kind::of(row.try_get::<i16, _>("kind")?.into()).ok_or_else(corrupt)?,
        state: State::of(row.try_get("state")?, row.try_get("refusal")?).ok_or_else(corrupt)?,
        received_at: row.try_get("received_at")?,
        due_at: row.try_get("due_at")?,
        closed_at: row.try_get("closed_at")?,
        closed_by: row.try_get("closed_by")?,
        grounds: row.try_get("grounds")?,
        answer: row.try_get("answer")?,
        subject: SubjectId::new(row.try_get("subject_id")?),
        unit: UnitId::new(row.try_get("unit_id")?),
    })
}

/// Inserts an open request. `false` when there is an open one of its kind.
pub async fn insert(tx: &mut TenantTx, row: &MemberRequestRow) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let done = sqlx::query(
        "insert into member_requests (tenant_id, member_request_id, member_id, kind, received_at, due_at, grounds)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (tenant_id, member_id, kind) where state = 1 do nothing",
    )
    .bind(tenant.uuid())
    .bind(row.id.uuid())
    .bind(row.member.uuid())
    .bind(row.kind as i16)
    .bind(row.received_at)
    .bind(row.due_at)
    .bind(&row.grounds)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A request.
pub async fn get(
    tx: &mut TenantTx,
    request: MemberRequestId,
) -> Result<Option<MemberRequestRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select r.member_request_id, r.member_id, r.kind, r.state, r.refusal, r.received_at, r.due_at, r.closed_at,
                r.closed_by, r.grounds, r.answer, m.subject_id::uuid, m.unit_id
           from member_requests r join members m using (tenant_id, member_id)
          where r.tenant_id = $1 and r.member_request_id = $2",
    )
    .bind(tenant.uuid())
    .bind(request.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// A member's requests, newest first, one more than the limit.
pub async fn of_member(
    tx: &mut TenantTx,
    member: MemberId,
    after: Option<PageKey>,
    limit: Limit,
) -> Result<Vec<MemberRequestRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let (at, id) = super::after(after);
    let rows = sqlx::query(
        "select r.member_request_id, r.member_id, r.kind, r.state, r.refusal, r.received_at, r.due_at, r.closed_at,
                r.closed_by, r.grounds, r.answer, m.subject_id::uuid, m.unit_id
           from member_requests r join members m using (tenant_id, member_id)
          where r.tenant_id = $1 and r.member_id = $2
            and ($3::timestamptz is null or (r.received_at, r.member_request_id) < ($3, $4::uuid))
          order by r.received_at desc, r.member_request_id desc limit $5",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .bind(at)
    .bind(id)
    .bind(limit.and_one())
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(read).collect()
}

/// All members' requests by when they are due, of one state if given, one more than the limit.
pub async fn list(
    tx: &mut TenantTx,
    state: Option<i16>,
    after: Option<PageKey>,
    limit: Limit,
) -> Result<Vec<MemberRequestRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let (at, id) = super::after(after);
    let rows = sqlx::query(
        "select r.member_request_id, r.member_id, r.kind, r.state, r.refusal, r.received_at, r.due_at, r.closed_at,
                r.closed_by, r.grounds, r.answer, m.subject_id::uuid, m.unit_id
           from member_requests r join members m using (tenant_id, member_id)
          where r.tenant_id = $1 and ($2::smallint is null or r.state = $2)
            and ($3::timestamptz is null or (r.due_at, r.member_request_id) > ($3, $4::uuid))
          order by r.due_at, r.member_request_id limit $5",
    )
    .bind(tenant.uuid())
    .bind(state)
    .bind(at)
    .bind(id)
    .bind(limit.and_one())
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(read).collect()
}

/// Writes the answer to an open request: `row` as it is to be. `false` when it is not open any more.
pub async fn close(tx: &mut TenantTx, row: &MemberRequestRow) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let done = sqlx::query(
        "update member_requests set state = $3, refusal = $4, closed_at = $5, closed_by = $6, answer = $7
          where tenant_id = $1 and member_request_id = $2 and state = 1",
    )
    .bind(tenant.uuid())
    .bind(row.id.uuid())
    .bind(row.state.number())
    .bind(row.state.refusal())
    .bind(row.closed_at)
    .bind(&row.closed_by)
    .bind(&row.answer)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Grants whatever a member who is erased wholly has open; answers which.
pub async fn grant_all(
    tx: &mut TenantTx,
    member: MemberId,
    closed_by: &str,
    now: OffsetDateTime,
) -> Result<Vec<MemberRequestId>, sqlx::Error> {
    let tenant = tx.tenant();
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "update member_requests set state = 2, closed_at = $3, closed_by = $4
          where tenant_id = $1 and member_id = $2 and state = 1 returning member_request_id",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .bind(now)
    .bind(closed_by)
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(MemberRequestId::new).collect())
}

/// Forgets what was said with a member's requests.
pub async fn forget_words(tx: &mut TenantTx, member: MemberId) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "update member_requests set grounds = null, answer = null where tenant_id = $1 and member_id = $2",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .execute(&mut **tx)
    .await
    .map(drop)
}
