//! API keys. The secret of one that was revoked is gone; the rest of its row stays as long as what it asked.

use lethe_ids::{ApiKeyId, MemberId, SubjectId, TenantId, UnitId};
use lethe_service::{Database, Limit, PageKey, TenantTx};
use sqlx::{Row, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::api_key::Scopes;

/// A key as it is kept.
#[derive(Clone)]
pub struct ApiKeyRow {
    /// Its id.
    pub id: ApiKeyId,
    /// The subject of what is sealed about it: the key itself.
    pub subject: SubjectId,
    /// The unit of its name.
    pub name_unit: UnitId,
    /// The unit of its secret; destroyed with the revocation.
    pub secret_unit: UnitId,
    /// Sealed.
    pub name: Vec<u8>,
    /// Sealed; none once revoked.
    pub secret: Option<Vec<u8>>,
    /// What it may do.
    pub scopes: Scopes,
    /// A limit of its own.
    pub requests_per_minute: Option<i32>,
    /// Who made it.
    pub created_by: MemberId,
    /// When.
    pub created_at: OffsetDateTime,
    /// Not in force from then on.
    pub expires_at: Option<OffsetDateTime>,
    /// Not in force any more.
    pub revoked_at: Option<OffsetDateTime>,
}

/// A key in force, with what its tenant adds.
pub struct InForce {
    /// The key.
    pub row: ApiKeyRow,
    /// The tenant's plan.
    pub plan: String,
    /// No principal counts as issued before this.
    pub void_before_ms: i64,
}

/// Inserts a key.
pub async fn insert(tx: &mut TenantTx, row: &ApiKeyRow) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into api_keys (tenant_id, api_key_id, subject_id, name_unit_id, secret_unit_id, name, secret, scopes,
                               requests_per_minute, created_by, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(tenant.uuid())
    .bind(row.id.uuid())
    .bind(row.subject.uuid())
    .bind(row.name_unit.uuid())
    .bind(row.secret_unit.uuid())
    .bind(&row.name)
    .bind(&row.secret)
    .bind(row.scopes.numbers())
    .bind(row.requests_per_minute)
    .bind(row.created_by.uuid())
    .bind(row.created_at)
    .bind(row.expires_at)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// How many keys are neither revoked nor expired.
pub async fn living(tx: &mut TenantTx, now: OffsetDateTime) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant();
    let living = "select count(*) from api_keys
                   where tenant_id = $1 and revoked_at is null and (expires_at is null or expires_at > $2)";
    sqlx::query_scalar(living).bind(tenant.uuid()).bind(now).fetch_one(&mut **tx).await
}

/// A key, and when it was last used as far as its requests were recorded.
pub async fn get(
    tx: &mut TenantTx,
    key: ApiKeyId,
) -> Result<Option<(ApiKeyRow, Option<OffsetDateTime>)>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select k.api_key_id, k.subject_id::uuid, k.name_unit_id, k.secret_unit_id, k.name, k.secret, k.scopes,
                k.requests_per_minute, k.created_by, k.created_at, k.expires_at, k.revoked_at,
                (select max(r.at) from api_requests r where r.tenant_id = $1 and r.api_key_id = k.api_key_id) as last_used_at
           from api_keys k where k.tenant_id = $1 and k.api_key_id = $2",
    )
    .bind(tenant.uuid())
    .bind(key.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| Ok((read(&row)?, row.try_get("last_used_at")?))).transpose()
}

/// Keys, newest first, one more than the limit.
pub async fn list(
    tx: &mut TenantTx,
    after: Option<PageKey>,
    limit: Limit,
) -> Result<Vec<(ApiKeyRow, Option<OffsetDateTime>)>, sqlx::Error> {
    let tenant = tx.tenant();
    let (at, id) = super::after(after);
    let rows = sqlx::query(
        "select k.api_key_id, k.subject_id::uuid, k.name_unit_id, k.secret_unit_id, k.name, k.secret, k.scopes,
                k.requests_per_minute, k.created_by, k.created_at, k.expires_at, k.revoked_at,
                (select max(r.at) from api_requests r where r.tenant_id = $1 and r.api_key_id = k.api_key_id) as last_used_at
           from api_keys k
          where k.tenant_id = $1 and ($2::timestamptz is null or (k.created_at, k.api_key_id) < ($2, $3::uuid))
          order by k.created_at desc, k.api_key_id desc limit $4",
    )
    .bind(tenant.uuid())
    .bind(at)
    .bind(id)
    .bind(limit.and_one())
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(|row| Ok((read(row)?, row.try_get("last_used_at")?))).collect()
}

/// A key that is in force now.
pub async fn in_force(
    tx: &mut TenantTx,
    key: ApiKeyId,
    now: OffsetDateTime,
) -> Result<Option<InForce>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select k.api_key_id, k.subject_id::uuid, k.name_unit_id, k.secret_unit_id, k.name, k.secret, k.scopes,
                k.requests_per_minute, k.created_by, k.created_at, k.expires_at, k.revoked_at, t.plan, t.void_before_ms
           from api_keys k join tenants t using (tenant_id)
          where k.tenant_id = $1 and k.api_key_id = $2 and k.revoked_at is null
            and (k.expires_at is null or k.expires_at > $3)",
    )
    .bind(tenant.uuid())
    .bind(key.uuid())
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| {
        Ok(InForce {
            row: read(&row)?,
            plan: row.try_get("plan")?,
            void_before_ms: row.try_get("void_before_ms")?,
        })
    })
    .transpose()
}

/// Whether principals of this key that were issued then still stand.
pub async fn stands(
    tx: &mut TenantTx,
    key: ApiKeyId,
    issued_at_ms: i64,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select 1 from api_keys k join tenants t using (tenant_id)
          where k.tenant_id = $1 and k.api_key_id = $2 and k.revoked_at is null
            and (k.expires_at is null or k.expires_at > $4) and t.void_before_ms <= $3",
    )
    .bind(tenant.uuid())
    .bind(key.uuid())
    .bind(issued_at_ms)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.is_some())
}

/// Ends a key, and forgets its secret. `false` when it has ended before, or is not there.
pub async fn revoke(tx: &mut TenantTx, key: ApiKeyId, now: OffsetDateTime) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let done = sqlx::query(
        "update api_keys set revoked_at = $3, secret = null
          where tenant_id = $1 and api_key_id = $2 and revoked_at is null",
    )
    .bind(tenant.uuid())
    .bind(key.uuid())
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Which of these secrets belong to a key.
pub async fn owned(tx: &mut TenantTx, secrets: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "select s from api_keys, unnest(array[subject_id::uuid, name_unit_id, secret_unit_id]) s
          where tenant_id = $1 and s = any($2)
            and (subject_id::uuid = any($2) or name_unit_id = any($2) or secret_unit_id = any($2))",
    )
    .bind(tenant.uuid())
    .bind(secrets)
    .fetch_all(&mut **tx)
    .await
}

/// Keys of all tenants that were revoked or expired before then.
pub async fn ended_before(
    db: &Database,
    before: OffsetDateTime,
    most: i64,
) -> Result<Vec<(TenantId, ApiKeyId)>, sqlx::Error> {
    let rows = sqlx::query(
        "select tenant_id, api_key_id from api_keys where least(revoked_at, expires_at) < $1
          order by least(revoked_at, expires_at) limit $2",
    )
    .bind(before)
    .bind(most)
    .fetch_all(db.jobs())
    .await?;
    rows.iter().map(|row| Ok((TenantId::new(row.try_get(0)?), ApiKeyId::new(row.try_get(1)?)))).collect()
}

/// Deletes a key that was revoked or has expired.
pub async fn delete(tx: &mut TenantTx, key: ApiKeyId) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query("delete from api_keys where tenant_id = $1 and api_key_id = $2")
        .bind(tenant.uuid())
        .bind(key.uuid())
        .execute(&mut **tx)
        .await
        .map(drop)
}

fn read(row: &PgRow) -> Result<ApiKeyRow, sqlx::Error> {
    Ok(ApiKeyRow {
        id: ApiKeyId::new(row.try_get("api_key_id")?),
        subject: SubjectId::new(row.try_get("subject_id")?),
        name_unit: UnitId::new(row.try_get("name_unit_id")?),
        secret_unit: UnitId::new(row.try_get("secret_unit_id")?),
        name: row.try_get("name")?,
        secret: row.try_get("secret")?,
        scopes: Scopes::from_numbers(&row.try_get::<Vec<i16>, _>("scopes")?),
        requests_per_minute: row.try_get("requests_per_minute")?,
        created_by: MemberId::new(row.try_get("created_by")?),
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        revoked_at: row.try_get("revoked_at")?,
    })
}
