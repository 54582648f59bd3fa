//! Sessions. A session that is over is deleted: its row would only be a hash that nothing matches.

use lethe_ids::{MemberId, SessionId, SubjectId, UnitId};
use lethe_service::{Limit, PageKey, TenantTx};
use sqlx::Row;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::member::Roles;

/// A session as it is kept.
#[derive(Clone)]
pub struct SessionRow {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub member: MemberId,
    /// SHA-256 of the token's secret.
    pub token_hash: [u8; 32],
    /// Sealed: `domain::client::Client`.
    pub client: Vec<u8>,
    /// When it was opened.
    pub created_at: OffsetDateTime,
    /// To the granularity of the configuration.
    pub last_seen_at: OffsetDateTime,
    /// Its age's end; it may end earlier, unused.
    pub expires_at: OffsetDateTime,
}

/// What is known of the one who has a session's token.
pub struct Holder {
    /// The session.
    pub session: SessionId,
    /// The member.
    pub member: MemberId,
    /// When the session was last seen.
    pub last_seen_at: OffsetDateTime,
    /// Its age's end.
    pub expires_at: OffsetDateTime,
    /// The member's roles.
    pub roles: Roles,
    /// Whether he may be logged in.
    pub active: bool,
    /// His password is a one-time one.
    pub must_change_password: bool,
    /// No principal of his counts as issued before this.
    pub void_before_ms: i64,
    /// His tenant's plan.
    pub plan: String,
}

/// Inserts a session.
pub async fn insert(tx: &mut TenantTx, row: &SessionRow) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into sessions (tenant_id, session_id, member_id, token_hash, client, created_at, last_seen_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant.uuid())
    .bind(row.id.uuid())
    .bind(row.member.uuid())
    .bind(row.token_hash.as_slice())
    .bind(&row.client)
    .bind(row.created_at)
    .bind(row.last_seen_at)
    .bind(row.expires_at)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Who has the token of this hash.
pub async fn holder(tx: &mut TenantTx, token_hash: &[u8; 32]) -> Result<Option<Holder>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select s.session_id, s.member_id, s.last_seen_at, s.expires_at, m.roles, m.active, m.must_change_password,
                greatest(m.void_before_ms, t.void_before_ms) as void_before_ms, t.plan
           from sessions s join members m using (tenant_id, member_id) join tenants t using (tenant_id)
          where s.tenant_id = $1 and s.token_hash = $2",
    )
    .bind(tenant.uuid())
    .bind(token_hash.as_slice())
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| {
        Ok(Holder {
            session: SessionId::new(row.try_get("session_id")?),
            member: MemberId::new(row.try_get("member_id")?),
            last_seen_at: row.try_get("last_seen_at")?,
            expires_at: row.try_get("expires_at")?,
            roles: Roles::from_numbers(&row.try_get::<Vec<i16>, _>("roles")?),
            active: row.try_get("active")?,
            must_change_password: row.try_get("must_change_password")?,
            void_before_ms: row.try_get("void_before_ms")?,
            plan: row.try_get("plan")?,
        })
    })
    .transpose()
}

/// Whether principals of this session that were issued then still stand.
pub async fn stands(
    tx: &mut TenantTx,
    session: SessionId,
    member: MemberId,
    issued_at_ms: i64,
    idle_since: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select 1 from sessions s join members m using (tenant_id, member_id) join tenants t using (tenant_id)
          where s.tenant_id = $1 and s.session_id = $2 and s.member_id = $3 and m.active
            and greatest(m.void_before_ms, t.void_before_ms) <= $4
            and s.last_seen_at > $5 and s.expires_at > $6",
    )
    .bind(tenant.uuid())
    .bind(session.uuid())
    .bind(member.uuid())
    .bind(issued_at_ms)
    .bind(idle_since)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.is_some())
}

/// Notes that the session was used.
pub async fn seen(tx: &mut TenantTx, session: SessionId, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "update sessions set last_seen_at = $3 where tenant_id = $1 and session_id = $2 and last_seen_at < $3",
    )
    .bind(tenant.uuid())
    .bind(session.uuid())
    .bind(now)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// A listed session, with what opens its client.
pub struct Listed {
    /// The session.
    pub row: SessionRow,
    /// The member's subject.
    pub subject: SubjectId,
    /// The member's profile unit.
    pub unit: UnitId,
}

/// The sessions of a member that are not over, newest first, one more than the limit.
pub async fn list(
    tx: &mut TenantTx,
    member: MemberId,
    after: Option<PageKey>,
    limit: Limit,
    idle_since: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<Vec<Listed>, sqlx::Error> {
    let tenant = tx.tenant();
    let (at, id) = super::after(after);
    let rows = sqlx::query(
        "select s.session_id, s.client, s.created_at, s.last_seen_at, s.expires_at, m.subject_id::uuid, m.unit_id
           from sessions s join members m using (tenant_id, member_id)
          where s.tenant_id = $1 and s.member_id = $2 and s.last_seen_at > $6 and s.expires_at > $7
            and ($3::timestamptz is null or (s.created_at, s.session_id) < ($3, $4::uuid))
          order by s.created_at desc, s.session_id desc limit $5",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .bind(at)
    .bind(id)
    .bind(limit.and_one())
    .bind(idle_since)
    .bind(now)
    .fetch_all(&mut **tx)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Listed {
                row: SessionRow {
                    id: SessionId::new(row.try_get(0)?),
                    member,
                    token_hash: [0; 32],
                    client: row.try_get(1)?,
                    created_at: row.try_get(2)?,
                    last_seen_at: row.try_get(3)?,
                    expires_at: row.try_get(4)?,
                },
                subject: SubjectId::new(row.try_get(5)?),
                unit: UnitId::new(row.try_get(6)?),
            })
        })
        .collect()
}

/// Whose session it is.
pub async fn member_of(tx: &mut TenantTx, session: SessionId) -> Result<Option<MemberId>, sqlx::Error> {
    let tenant = tx.tenant();
    let id = sqlx::query_scalar("select member_id from sessions where tenant_id = $1 and session_id = $2")
        .bind(tenant.uuid())
        .bind(session.uuid())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(id.map(MemberId::new))
}

/// Deletes these sessions.
pub async fn delete(tx: &mut TenantTx, sessions: &[SessionId]) -> Result<u64, sqlx::Error> {
    let tenant = tx.tenant();
    let ids: Vec<Uuid> = sessions.iter().map(|session| session.uuid()).collect();
    let done = sqlx::query("delete from sessions where tenant_id = $1 and session_id = any($2)")
        .bind(tenant.uuid())
        .bind(ids)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected())
}

/// Deletes all sessions of a member but `keep`, and answers which.
pub async fn delete_all(
    tx: &mut TenantTx,
    member: MemberId,
    keep: Option<SessionId>,
) -> Result<Vec<SessionId>, sqlx::Error> {
    let tenant = tx.tenant();
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "delete from sessions where tenant_id = $1 and member_id = $2 and session_id is distinct from $3
         returning session_id",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .bind(keep.map(SessionId::uuid))
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(SessionId::new).collect())
}

/// Deletes the oldest sessions of a member past `most`, and answers which.
pub async fn delete_excess(
    tx: &mut TenantTx,
    member: MemberId,
    most: u32,
) -> Result<Vec<SessionId>, sqlx::Error> {
    let tenant = tx.tenant();
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "delete from sessions where tenant_id = $1 and session_id in (
             select session_id from sessions where tenant_id = $1 and member_id = $2
              order by created_at desc, session_id desc offset $3)
         returning session_id",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .bind(i64::from(most))
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(SessionId::new).collect())
}
