//! What API keys asked, and the signatures of theirs that were used.

use lethe_ids::{ApiKeyId, TenantId};
use lethe_service::{Database, Limit, PageKey, TenantTx};
use sqlx::Row;
use time::OffsetDateTime;
use uuid::Uuid;

/// A request as it is kept.
#[derive(Debug, Clone)]
pub struct ApiRequestRow {
    /// The gateway's id of it.
    pub id: Uuid,
    /// Who asked.
    pub key: ApiKeyId,
    /// When.
    pub at: OffsetDateTime,
    /// `GET`.
    pub method: String,
    /// The route's template.
    pub route: String,
    /// `GetContact`.
    pub rpc: String,
    /// The answer's.
    pub status: i16,
    /// So many requests this row stands for, of which nothing else is known.
    pub missed: i32,
}

/// Records requests of the transaction's tenant. One that is there already stays as it is.
pub async fn insert(tx: &mut TenantTx, rows: &[ApiRequestRow]) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into api_requests (tenant_id, request_id, api_key_id, at, method, route, rpc, status, missed)
         select $1, * from unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
                                  $8::smallint[], $9::integer[])
         on conflict (tenant_id, request_id) do nothing",
    )
    .bind(tenant.uuid())
    .bind(rows.iter().map(|row| row.id).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.key.uuid()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.at).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.method.clone()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.route.clone()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.rpc.clone()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.status).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.missed).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Which requests a list has. Absent parts do not filter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Whose.
    pub key: Option<ApiKeyId>,
    /// Not before.
    pub from: Option<OffsetDateTime>,
    /// Before.
    pub until: Option<OffsetDateTime>,
}

/// Requests, newest first, one more than the limit.
pub async fn list(
    tx: &mut TenantTx,
    filter: Filter,
    after: Option<PageKey>,
    limit: Limit,
) -> Result<Vec<ApiRequestRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let (at, id) = super::after(after);
    let rows = sqlx::query(
        "select request_id, api_key_id, at, method, route, rpc, status, missed from api_requests
          where tenant_id = $1
            and ($2::timestamptz is null or (at, request_id) < ($2, $3::uuid))
            and ($5::uuid is null or api_key_id = $5)
            and ($6::timestamptz is null or at >= $6)
            and ($7::timestamptz is null or at < $7)
          order by at desc, request_id desc limit $4",
    )
    .bind(tenant.uuid())
    .bind(at)
    .bind(id)
    .bind(limit.and_one())
    .bind(filter.key.map(ApiKeyId::uuid))
    .bind(filter.from)
    .bind(filter.until)
    .fetch_all(&mut **tx)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(ApiRequestRow {
                id: row.try_get(0)?,
                key: ApiKeyId::new(row.try_get(1)?),
                at: row.try_get(2)?,
                method: row.try_get(3)?,
                route: row.try_get(4)?,
                rpc: row.try_get(5)?,
                status: row.try_get(6)?,
                missed: row.try_get(7)?,
            })
        })
        .collect()
}

/// Takes a signature for the one time it is good. `false` when it was taken before.
pub async fn use_signature(
    tx: &mut TenantTx,
    key: ApiKeyId,
    signature: &[u8],
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let done = sqlx::query(
        "insert into used_signatures (tenant_id, api_key_id, signature, used_at) values ($1, $2, $3, $4)
         on conflict do nothing",
    )
    .bind(tenant.uuid())
    .bind(key.uuid())
    .bind(signature)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Tenants that have requests or signatures older than these.
pub async fn due(
    db: &Database,
    requests: OffsetDateTime,
    signatures: OffsetDateTime,
    most: i64,
) -> Result<Vec<TenantId>, sqlx::Error> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "(select tenant_id from api_requests where at < $1 limit $3)
         union (select tenant_id from used_signatures where used_at < $2 limit $3)",
    )
    .bind(requests)
    .bind(signatures)
    .bind(most)
    .fetch_all(db.jobs())
    .await?;
    Ok(ids.into_iter().map(TenantId::new).collect())
}

/// Deletes a batch of the tenant's requests and signatures that are older. Answers how many rows.
pub async fn delete(
    tx: &mut TenantTx,
    requests: OffsetDateTime,
    signatures: OffsetDateTime,
    most: i64,
) -> Result<u64, sqlx::Error> {
    let tenant = tx.tenant();
    let mut gone = sqlx::query(
        "delete from api_requests where tenant_id = $1 and request_id in (
             select request_id from api_requests where tenant_id = $1 and at < $2 limit $3)",
    )
    .bind(tenant.uuid())
    .bind(requests)
    .bind(most)
    .execute(&mut **tx)
    .await?
    .rows_affected();
    gone += sqlx::query(
        "delete from used_signatures where tenant_id = $1 and ctid = any (array(
             select ctid from used_signatures where tenant_id = $1 and used_at < $2 limit $3))",
    )
    .bind(tenant.uuid())
    .bind(signatures)
    .bind(most)
    .execute(&mut **tx)
    .await?
    .rows_affected();
    Ok(gone)
}
