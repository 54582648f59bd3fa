//! The inbox: (consumer, event) pairs whose effect is done. Only for effects that are rows which must not double;
//! an effect that is written with its version needs none.

use lethe_ids::EventId;
use lethe_service::{Database, TenantTx};

/// Notes in the transaction of the effect that `consumer` has it from this event. `true` when it was noted before:
/// then the effect is there already and nothing more is to do.
///
/// # Errors
/// When PostgreSQL does not answer.
pub async fn seen(tx: &mut TenantTx, consumer: &str, event: EventId) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let noted = sqlx::query(
        "insert into inbox (tenant_id, consumer, event_id) values ($1, $2, $3) on conflict do nothing",
    )
    .bind(tenant.uuid())
    .bind(consumer)
    .bind(event.uuid())
    .execute(&mut **tx)
    .await?
    .rows_affected();
    Ok(noted == 0)
}

/// Forgets at most `limit` pairs, and as many tries of events, that are older than any event that can still come (a week). An
/// event that is over forgot its tries itself, unless the process ended in between. Answers how many of what is most.
///
/// # Errors
/// When PostgreSQL does not answer.
pub async fn sweep_consumed(db: &Database, limit: u32) -> Result<u64, sqlx::Error> {
    let gone = sqlx::query(
        "delete from inbox where (tenant_id, consumer, event_id) in (
             select tenant_id, consumer, event_id from inbox where seen_at < now() - interval '7 days' limit $1)",
    )
    .bind(i64::from(limit))
    .execute(db.jobs())
    .await?;
    let tries = sqlx::query(
        "delete from tries where (tenant_id, consumer, event_id) in (
             select tenant_id, consumer, event_id from tries where begun_at < now() - interval '7 days' limit $1)",
    )
    .bind(i64::from(limit))
    .execute(db.jobs())
    .await?;
    Ok(gone.rows_affected().max(tries.rows_affected()))
}
