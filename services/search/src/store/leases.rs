//! Leases of shards, by PostgreSQL's clock. The holder is the index: a process that comes back to its folder takes its
//! shards at once, under a higher token.

use std::time::Duration;

use lethe_service::{Database, TenantTx};
use sqlx::{Row, postgres::types::PgInterval};
use uuid::Uuid;

/// Takes what is free, run out, or the holder's from before. Answers (shard, token).
pub(crate) async fn take(
    db: &Database,
    holder: Uuid,
    shards: u16,
    ttl: Duration,
) -> Result<Vec<(u16, i64)>, sqlx::Error> {
    let rows = sqlx::query(
        "update shard_leases set holder = $1, token = token + 1, expires_at = now() + $2
          where shard < $3 and (holder = $1 or expires_at < now()) returning shard, token",
    )
    .bind(holder)
    .bind(interval(ttl))
    .bind(shards.cast_signed())
    .fetch_all(db.jobs())
    .await?;
    rows.iter().map(|row| Ok((row.try_get::<i16, _>(0)?.cast_unsigned(), row.try_get(1)?))).collect()
}

/// Renews the leases that are still ours by shard and token. Answers their shards.
pub(crate) async fn renew(
    db: &Database,
    holder: Uuid,
    held: &[(u16, i64)],
    ttl: Duration,
) -> Result<Vec<u16>, sqlx::Error> {
    let (shards, tokens): (Vec<i16>, Vec<i64>) = held.iter().map(|(s, t)| (s.cast_signed(), *t)).unzip();
    let renewed: Vec<i16> = sqlx::query_scalar(
        "update shard_leases l set expires_at = now() + $2
           from unnest($3::smallint[], $4::bigint[]) as mine (shard, token)
          where l.shard = mine.shard and l.token = mine.token and l.holder = $1 returning l.shard",
    )
    .bind(holder)
    .bind(interval(ttl))
    .bind(shards)
    .bind(tokens)
    .fetch_all(db.jobs())
    .await?;
    Ok(renewed.into_iter().map(i16::cast_unsigned).collect())
}

/// Whether the shard is still written under this token.
pub(crate) async fn is_current(tx: &mut TenantTx, shard: u16, token: i64) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select token = $2 from shard_leases where shard = $1")
        .bind(shard.cast_signed())
        .bind(token)
        .fetch_one(&mut **tx)
        .await
}

fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}
