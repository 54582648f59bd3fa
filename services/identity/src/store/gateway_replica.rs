//! Which gateways live, by the database's time. The platform's rows, nobody's data: by the jobs role.

use lethe_service::Database;
use uuid::Uuid;

/// Notes that `replica` lives, forgets those not heard of for `lease_s` seconds, and answers how many live.
pub async fn renew(db: &Database, replica: Uuid, lease_s: f64) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "with own as (insert into gateway_replicas (replica_id, seen_at) values ($1, clock_timestamp())
                      on conflict (replica_id) do update set seen_at = excluded.seen_at),
              gone as (delete from gateway_replicas
                        where replica_id <> $1 and seen_at < clock_timestamp() - make_interval(secs => $2))
         select 1 + count(*) from gateway_replicas
          where replica_id <> $1 and seen_at >= clock_timestamp() - make_interval(secs => $2)",
    )
    .bind(replica)
    .bind(lease_s)
    .fetch_one(db.jobs())
    .await
}
