//! Revocations: a row each, which every replica of identity reads within its poll and tells every process.

use lethe_access::{Revocation, Revoked};
use lethe_ids::{ApiKeyId, MemberId, OperatorAccessId, SessionId, TenantId};
use lethe_service::{Database, TenantTx};
use sqlx::Row;
use uuid::Uuid;

/// Most revocations that are read in one go.
const MOST: i64 = 100_000;

/// Inserts a revocation of the transaction's tenant.
pub async fn insert(tx: &mut TenantTx, id: Uuid, revocation: &Revocation) -> Result<(), sqlx::Error> {
    let (session, member, key, access) = match revocation.what {
        Revoked::Session(session) => (Some(session.uuid()), None, None, None),
        Revoked::Member(member) => (None, Some(member.uuid()), None, None),
        Revoked::ApiKey(key) => (None, None, Some(key.uuid()), None),
        Revoked::OperatorAccess(access) => (None, None, None, Some(access.uuid())),
        Revoked::Tenant => (None, None, None, None),
    };
    sqlx::query(
        "insert into revocations (tenant_id, revocation_id, session_id, member_id, revoked_at_ms, api_key_id,
                                  operator_access_id)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(revocation.tenant.uuid())
    .bind(id)
    .bind(session)
    .bind(member)
    .bind(revocation.revoked_at_ms)
    .bind(key)
    .bind(access)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// What was revoked in the last so many seconds, of all tenants, by the database's time.
pub async fn recent(db: &Database, seconds: f64) -> Result<Vec<(Uuid, Revocation)>, sqlx::Error> {
    let rows = sqlx::query(
        "select tenant_id, revocation_id, session_id, member_id, revoked_at_ms, api_key_id, operator_access_id
           from revocations
          where recorded_at > clock_timestamp() - make_interval(secs => $1)
          order by recorded_at desc limit $2",
    )
    .bind(seconds)
    .bind(MOST)
    .fetch_all(db.jobs())
    .await?;
    rows.iter()
        .map(|row| {
            let session: Option<Uuid> = row.try_get(2)?;
            let member: Option<Uuid> = row.try_get(3)?;
            let key: Option<Uuid> = row.try_get(5)?;
            let access: Option<Uuid> = row.try_get(6)?;
            let what = match (session, member, key, access) {
                (Some(session), ..) => Revoked::Session(SessionId::new(session)),
                (_, Some(member), ..) => Revoked::Member(MemberId::new(member)),
                (_, _, Some(key), _) => Revoked::ApiKey(ApiKeyId::new(key)),
                (.., Some(access)) => Revoked::OperatorAccess(OperatorAccessId::new(access)),
                (None, None, None, None) => Revoked::Tenant,
            };
            let tenant = TenantId::new(row.try_get(0)?);
            Ok((row.try_get(1)?, Revocation { tenant, what, revoked_at_ms: row.try_get(4)? }))
        })
        .collect()
}
