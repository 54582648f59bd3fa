//! Erasures of members: what they take away, and how far they have come.

use lethe_ids::{ErasureId, LogInRecordId, MemberId, SubjectId, TenantId, UnitId};
use lethe_service::{Database, TenantTx};
use sqlx::{Row, postgres::PgRow, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{domain::member_erasure::Mode, store::member::MemberRow};

/// What the verifier looked for and found, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Reading {
    /// "postgres", "keystore".
    pub store: String,
    /// "member_photos", "secrets", ...
    pub kind: String,
    /// How many things were looked for.
    pub looked_for: u64,
    /// How many are there.
    pub found: u64,
}

/// An erasure as it is kept.
#[derive(Debug, Clone)]
pub struct MemberErasureRow {
    /// Its id: the cause that the keystore's tombstones name.
    pub id: ErasureId,
    /// Whose.
    pub member: MemberId,
    /// How much.
    pub mode: Mode,
    /// Whose secrets are to be destroyed.
    pub subjects: Vec<SubjectId>,
    /// Of which units.
    pub units: Vec<UnitId>,
    /// Who asked: a member's id, or an API key's.
    pub requested_by: String,
    /// When.
    pub requested_at: OffsetDateTime,
    /// Tries so far.
    pub attempts: i32,
    /// When it was read again that nothing is there.
    pub erased_at: Option<OffsetDateTime>,
    /// What was read.
    pub findings: Vec<Reading>,
}

fn read(row: &PgRow) -> Result<MemberErasureRow, sqlx::Error> {
    let mode: i16 = row.try_get("mode")?;
    Ok(MemberErasureRow {
        id: ErasureId::new(row.try_get("erasure_id")?),
        member: MemberId::new(row.try_get("member_id")?),
        mode: Mode::of(mode).ok_or_else(|| sqlx::Error::Decode("no mode of an erasure".into()))?,
        subjects: row.try_get::<Vec<Uuid>, _>("subjects")?.into_iter().map(SubjectId::new).collect(),
        units: row.try_get::<Vec<Uuid>, _>("units")?.into_iter().map(UnitId::new).collect(),
        requested_by: row.try_get("requested_by")?,
        requested_at: row.try_get("requested_at")?,
        attempts: row.try_get("attempts")?,
        erased_at: row.try_get("erased_at")?,
        findings: row.try_get::<Json<_>, _>("findings")?.0,
    })
}

/// Inserts an erasure, due at once.
pub async fn insert(tx: &mut TenantTx, row: &MemberErasureRow) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into member_erasures (tenant_id, erasure_id, member_id, mode, subjects, units, requested_by,
                                      requested_at, next_attempt_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
    )
    .bind(tenant.uuid())
    .bind(row.id.uuid())
    .bind(row.member.uuid())
    .bind(row.mode as i16)
    .bind(row.subjects.iter().map(|subject| subject.uuid()).collect::<Vec<_>>())
    .bind(row.units.iter().map(|unit| unit.uuid()).collect::<Vec<_>>())
    .bind(&row.requested_by)
    .bind(row.requested_at)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// The widest erasure of a member.
pub async fn widest(tx: &mut TenantTx, member: MemberId) -> Result<Option<MemberErasureRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select erasure_id, member_id, mode, subjects, units, requested_by, requested_at, attempts, erased_at, findings
           from member_erasures where tenant_id = $1 and member_id = $2 order by mode desc limit 1",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// An erasure.
pub async fn get(tx: &mut TenantTx, erasure: ErasureId) -> Result<Option<MemberErasureRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select erasure_id, member_id, mode, subjects, units, requested_by, requested_at, attempts, erased_at, findings
           from member_erasures where tenant_id = $1 and erasure_id = $2",
    )
    .bind(tenant.uuid())
    .bind(erasure.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Erasures that are due, in all tenants.
pub async fn due(
    db: &Database,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<(TenantId, ErasureId)>, sqlx::Error> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select tenant_id, erasure_id from member_erasures where next_attempt_at <= $1 order by next_attempt_at limit $2",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(db.jobs())
    .await?;
    Ok(rows.into_iter().map(|(tenant, erasure)| (TenantId::new(tenant), ErasureId::new(erasure))).collect())
}

/// Notes a try that failed, and when the next one is due.
pub async fn put_off(
    tx: &mut TenantTx,
    erasure: ErasureId,
    next_attempt_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "update member_erasures set attempts = attempts + 1, next_attempt_at = $3
          where tenant_id = $1 and erasure_id = $2 and erased_at is null",
    )
    .bind(tenant.uuid())
    .bind(erasure.uuid())
    .bind(next_attempt_at)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Notes that nothing was found. The first reading stays.
pub async fn finish(
    tx: &mut TenantTx,
    erasure: ErasureId,
    findings: &[Reading],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "update member_erasures set erased_at = $3, findings = $4, next_attempt_at = null
          where tenant_id = $1 and erasure_id = $2 and erased_at is null",
    )
    .bind(tenant.uuid())
    .bind(erasure.uuid())
    .bind(now)
    .bind(Json(findings))
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Log-in records of a member as they are sealed.
pub async fn log_in_records(
    tx: &mut TenantTx,
    member: MemberId,
) -> Result<Vec<(LogInRecordId, Vec<u8>)>, sqlx::Error> {
    let tenant = tx.tenant();
    let rows: Vec<(Uuid, Vec<u8>)> = sqlx::query_as(
        "select log_in_record_id, client from log_in_records where tenant_id = $1 and member_id = $2",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|(id, client)| (LogInRecordId::new(id), client)).collect())
}

/// Log-in records sealed anew.
pub async fn reseal_log_in_records(
    tx: &mut TenantTx,
    records: &[(LogInRecordId, Vec<u8>)],
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    let (ids, clients): (Vec<Uuid>, Vec<&[u8]>) =
        records.iter().map(|(id, client)| (id.uuid(), client.as_slice())).unzip();
    sqlx::query(
        "update log_in_records r set client = s.client from unnest($2::uuid[], $3::bytea[]) as s (id, client)
          where r.tenant_id = $1 and r.log_in_record_id = s.id",
    )
    .bind(tenant.uuid())
    .bind(ids)
    .bind(clients)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Writes what is left of the member: `row` as it is to be.
pub async fn strip(tx: &mut TenantTx, row: &MemberRow) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "update members set unit_id = $3, profile = $4, profile_version = $5, password_hash = $6, roles = $7, erased = $8,
                            void_before_ms = greatest(void_before_ms, $9), version = version + 1
          where tenant_id = $1 and member_id = $2",
    )
    .bind(tenant.uuid())
    .bind(row.id.uuid())
    .bind(row.unit.uuid())
    .bind(&row.profile)
    .bind(row.profile_version)
    .bind(&row.password_hash)
    .bind(row.roles.numbers())
    .bind(row.erased.map_or(0, |mode| mode as i16))
    .bind(row.void_before_ms)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Deletes everything that is the member's alone, but his row: records, teams, keys of requests.
pub async fn delete_rest(tx: &mut TenantTx, member: MemberId) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    for statement in [
        "delete from log_in_records where tenant_id = $1 and member_id = $2",
        "delete from team_members where tenant_id = $1 and member_id = $2",
        "delete from idempotency where tenant_id = $1 and member_id = $2",
    ] {
        sqlx::query(statement).bind(tenant.uuid()).bind(member.uuid()).execute(&mut **tx).await?;
    }
    Ok(())
}
