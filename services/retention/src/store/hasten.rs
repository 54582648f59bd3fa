//! The operator's "try it now".

use lethe_ids::ErasureId;
use lethe_service::TenantTx;
use time::OffsetDateTime;

/// Has an open erasure and its step that failed tried at `now`; `false` when there is no such open erasure. A process that
/// is at it loses its claim to whoever tries now: its token is old then.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn hasten(tx: &mut TenantTx, erasure: ErasureId, now: OffsetDateTime) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "update erasure_steps set next_attempt_at = $3
         where tenant_id = $1 and erasure_id = $2 and waits_for is not null and done_at is null and next_attempt_at > $3",
    )
    .bind(tenant)
    .bind(erasure.uuid())
    .bind(now)
    .execute(&mut **tx)
    .await?;
    let open = sqlx::query(
        "update erasures e set next_attempt_at = case when exists (select from erasure_steps s
             where s.tenant_id = e.tenant_id and s.erasure_id = e.erasure_id and s.waits_for is not null and s.done_at is null)
           then least(next_attempt_at, $3) else next_attempt_at end
         where tenant_id = $1 and erasure_id = $2 and next_attempt_at is not null",
    )
    .bind(tenant)
    .bind(erasure.uuid())
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(open.rows_affected() == 1)
}
