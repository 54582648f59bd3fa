//! Turns of an endpoint, in which what is due to it is sent.
//!
//! An endpoint says when its next delivery is due (`due_at`), so that looking for work costs as much as there is work; and
//! one process at a time has it in hand (`lease`), so that the limit of what is sent at once holds over all replicas.

use lethe_ids::WebhookEndpointId;
use lethe_service::TenantTx;
use time::OffsetDateTime;

use super::webhook_delivery::DeliveryRow;

/// Takes the endpoint in hand until `until`, if something is due and nobody else has it. Answers the lease.
pub(crate) async fn lease(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> sqlx::Result<Option<i64>> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "update webhook_endpoints set leased_until = $4, lease = lease + 1
          where tenant_id = $1 and endpoint_id = $2 and due_at <= $3
            and (leased_until is null or leased_until <= $3)
         returning lease",
    )
    .bind(tenant.uuid())
    .bind(endpoint.uuid())
    .bind(now)
    .bind(until)
    .fetch_optional(&mut **tx)
    .await
}

/// The deliveries of an endpoint that are due, the longest due first. To one that is not enabled only notices of erasure go.
pub(crate) async fn due(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    now: OffsetDateTime,
    most: i64,
) -> sqlx::Result<Vec<DeliveryRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select delivery_id, endpoint_id, event_id, event_type, happened_at, contact_id::uuid, conversation_id::uuid,
                message_id, d.erasure_id, erasure_state, d.state, attempts, next_attempt_at, last_attempt_at, last_status,
                last_failure, d.created_at,
                f.erased, f.contacts as erased_ids, d.erased_conversations
           from webhook_deliveries d join webhook_endpoints e using (tenant_id, endpoint_id)
           left join fences f on f.tenant_id = d.tenant_id and f.scope_id = d.scope_id
          where d.tenant_id = $1 and d.endpoint_id = $2 and next_attempt_at <= $3
            and (e.state = 1 or d.scope_id is not null and e.state in (2, 3, 5))
          order by next_attempt_at limit $4",
    )
    .bind(tenant.uuid())
    .bind(endpoint.uuid())
    .bind(now)
    .bind(most)
    .fetch_all(&mut **tx)
    .await
}

/// Counts an attempt before it is made, and says when the next one is: a crash amid the attempt is one that failed. `false`
/// when the lease is not ours any more.
pub(crate) async fn begin_attempt(
    tx: &mut TenantTx,
    delivery: &DeliveryRow,
    lease: i64,
    (now, next): (OffsetDateTime, Option<OffsetDateTime>),
) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    // The last one is due once more when its lease has ended: a crash amid it must not leave it waiting for ever.
    let done = sqlx::query(
        "update webhook_deliveries d
            set attempts = attempts + 1, last_attempt_at = $4, last_status = null, last_failure = 'CUT_OFF',
                next_attempt_at = coalesce($5, e.leased_until)
           from webhook_endpoints e
          where d.tenant_id = $1 and d.delivery_id = $2 and d.attempts = $6 and d.state = 1
            and e.tenant_id = d.tenant_id and e.endpoint_id = d.endpoint_id and e.lease = $3",
    )
    .bind(tenant.uuid())
    .bind(delivery.id().uuid())
    .bind(lease)
    .bind(now)
    .bind(next)
    .bind(delivery.attempts)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The answer's status; `None` when there was none.
    pub(crate) status: Option<i16>,
    /// Why it failed.
    pub(crate) failure: Option<&'static str>,
    /// Whether another attempt follows.
    pub(crate) is_last: bool,
}

/// Writes what came of the attempt that [`begin_attempt`] counted. A replay meanwhile stays one.
pub(crate) async fn end_attempt(
    tx: &mut TenantTx,
    delivery: &DeliveryRow,
    outcome: Outcome,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    let state = match outcome {
        Outcome { failure: None, .. } => Some(2_i16),
        Outcome { is_last: true, .. } => Some(3),
        _ => None,
    };
    sqlx::query(
        "update webhook_deliveries
            set last_status = $4, last_failure = $5, state = coalesce($6, state),
                next_attempt_at = case when $6 is null then next_attempt_at end
          where tenant_id = $1 and delivery_id = $2 and attempts = $3",
    )
    .bind(tenant.uuid())
    .bind(delivery.id().uuid())
    .bind(delivery.attempts + 1)
    .bind(outcome.status)
    .bind(outcome.failure)
    .bind(state)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that something arrived or not, and answers since when nothing does.
pub(crate) async fn note_arrival(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    failed_at: Option<OffsetDateTime>,
) -> sqlx::Result<Option<OffsetDateTime>> {
    let tenant = tx.tenant();
    let since: Option<Option<OffsetDateTime>> = sqlx::query_scalar(
        "update webhook_endpoints set failing_since = case when $3::timestamptz is null then null else coalesce(failing_since, $3) end
          where tenant_id = $1 and endpoint_id = $2 and (failing_since is not null or $3::timestamptz is not null)
         returning failing_since",
    )
    .bind(tenant.uuid())
    .bind(endpoint.uuid())
    .bind(failed_at)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(since.flatten())
}

/// Whether more than `most` wait for the endpoint.
pub(crate) async fn overflows(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    most: i64,
) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "select exists (select from webhook_deliveries
          where tenant_id = $1 and endpoint_id = $2 and next_attempt_at is not null offset $3)",
    )
    .bind(tenant.uuid())
    .bind(endpoint.uuid())
    .bind(most)
    .fetch_one(&mut **tx)
    .await
}

/// Writes when the endpoint's next delivery is due, not before `not_before`. The caller holds the endpoint's lock, taken in a
/// statement before: so what others queued is seen.
pub(crate) async fn settle_due(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    not_before: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update webhook_endpoints e set due_at = (
           select greatest(min(next_attempt_at), $3) from webhook_deliveries d
            where d.tenant_id = $1 and d.endpoint_id = $2 and next_attempt_at is not null
              and (e.state = 1 or d.scope_id is not null and e.state in (2, 3, 5)) having min(next_attempt_at) is not null)
          where tenant_id = $1 and endpoint_id = $2",
    )
    .bind(tenant.uuid())
    .bind(endpoint.uuid())
    .bind(not_before)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Lets go of the endpoint. The caller holds its lock. `false` when it was not in our hand any more.
pub(crate) async fn release(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    lease: i64,
) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let done = sqlx::query(
        "update webhook_endpoints set leased_until = null
          where tenant_id = $1 and endpoint_id = $2 and lease = $3",
    )
    .bind(tenant.uuid())
    .bind(endpoint.uuid())
    .bind(lease)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
