//! Webhook endpoints and their signing secrets. One that is being deleted is not there.

use lethe_ids::{SubjectId, TenantId, UnitId, WebhookEndpointId};
use lethe_service::TenantTx;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

/// Being deleted: its keys are destroyed before its rows go.
const DELETING: i16 = 6;

/// An endpoint as it is stored.
#[derive(Debug, FromRow)]
pub(crate) struct EndpointRow {
    endpoint_id: Uuid,
    unit_id: Uuid,
    /// Sealed.
    pub(crate) profile: Vec<u8>,
    /// The seal version of the profile.
    pub(crate) sealed_version: i32,
    /// What it wants to hear of.
    pub(crate) event_types: Vec<i16>,
    /// As the contract has it.
    pub(crate) state: i16,
    /// Counts changes of what a reader sees.
    pub(crate) version: i64,
    /// The first failure after the last success.
    pub(crate) failing_since: Option<OffsetDateTime>,
    /// When it was created.
    pub(crate) created_at: OffsetDateTime,
    /// When it last changed.
    pub(crate) updated_at: OffsetDateTime,
}

impl EndpointRow {
    /// Which endpoint.
    pub(crate) fn id(&self) -> WebhookEndpointId {
        WebhookEndpointId::new(self.endpoint_id)
    }
    /// Whose secret everything of it is sealed under: its own.
    pub(crate) fn subject(&self) -> SubjectId {
        SubjectId::new(self.endpoint_id)
    }
    /// The profile's unit.
    pub(crate) fn unit(&self) -> UnitId {
        UnitId::new(self.unit_id)
    }
}

/// A signing secret as it is stored.
#[derive(Debug, FromRow)]
pub(crate) struct SecretRow {
    unit_id: Uuid,
    /// Sealed.
    pub(crate) secret: Vec<u8>,
}

impl SecretRow {
    /// Its unit, which is its id too.
    pub(crate) fn unit(&self) -> UnitId {
        UnitId::new(self.unit_id)
    }
}

/// An endpoint to be inserted.
#[derive(Debug)]
pub(crate) struct NewEndpoint<'a> {
    pub(crate) endpoint: WebhookEndpointId,
    /// The profile's unit.
    pub(crate) unit: UnitId,
    /// Sealed, seal version 1.
    pub(crate) profile: &'a [u8],
    pub(crate) event_types: &'a [i16],
    pub(crate) at: OffsetDateTime,
}

/// What is changed.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    /// Sealed, with its seal version.
    pub(crate) profile: (&'a [u8], i32),
    pub(crate) event_types: &'a [i16],
    pub(crate) state: i16,
    pub(crate) at: OffsetDateTime,
}

/// How many the tenant has; nobody else makes one before the transaction ends.
pub(crate) async fn count_alone(tx: &mut TenantTx) -> sqlx::Result<i64> {
    let tenant = tx.tenant();
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('webhook_endpoints' || $1::uuid::text, 0))")
        .bind(tenant.uuid())
        .execute(&mut **tx)
        .await?;
    sqlx::query_scalar("select count(*) from webhook_endpoints where tenant_id = $1 and state <> $2")
        .bind(tenant.uuid())
        .bind(DELETING)
        .fetch_one(&mut **tx)
        .await
}

/// Inserts an endpoint, enabled, version 1.
pub(crate) async fn insert(tx: &mut TenantTx, new: &NewEndpoint<'_>) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into webhook_endpoints (tenant_id, endpoint_id, unit_id, profile, sealed_version, event_types, state,
                                        version, created_at, updated_at)
         values ($1, $2, $3, $4, 1, $5, 1, 1, $6, $6)",
    )
    .bind(tenant.uuid())
    .bind(new.endpoint.uuid())
    .bind(new.unit.uuid())
    .bind(new.profile)
    .bind(new.event_types)
    .bind(new.at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One endpoint.
pub(crate) async fn find(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
) -> sqlx::Result<Option<EndpointRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select endpoint_id, unit_id, profile, sealed_version, event_types, state, version, failing_since, created_at,
                updated_at
           from webhook_endpoints where tenant_id = $1 and endpoint_id = $2 and state <> $3",
    )
    .bind(tenant.uuid())
    .bind(endpoint.uuid())
    .bind(DELETING)
    .fetch_optional(&mut **tx)
    .await
}

/// Its version, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut TenantTx, endpoint: WebhookEndpointId) -> sqlx::Result<Option<i64>> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "select version from webhook_endpoints
          where tenant_id = $1 and endpoint_id = $2 and state <> $3 for update",
    )
    .bind(tenant.uuid())
    .bind(endpoint.uuid())
    .bind(DELETING)
    .fetch_optional(&mut **tx)
    .await
}

/// The newest older than `before`.
pub(crate) async fn list(tx: &mut TenantTx, before: Uuid, most: i64) -> sqlx::Result<Vec<EndpointRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select endpoint_id, unit_id, profile, sealed_version, event_types, state, version, failing_since, created_at,
                updated_at
           from webhook_endpoints where tenant_id = $1 and endpoint_id < $2 and state <> $4
          order by endpoint_id desc limit $3",
    )
    .bind(tenant.uuid())
    .bind(before)
    .bind(most)
    .bind(DELETING)
    .fetch_all(&mut **tx)
    .await
}

/// Writes a change. The caller holds the lock. One that is enabled anew is not failing.
pub(crate) async fn update(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    change: &Change<'_>,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update webhook_endpoints
            set profile = $3, sealed_version = $4, event_types = $5, updated_at = $7, version = version + 1,
                failing_since = case when state <> 1 and $6 = 1 then null else failing_since end, state = $6
          where tenant_id = $1 and endpoint_id = $2",
    )
    .bind(tenant.uuid())
    .bind(endpoint.uuid())
    .bind(change.profile.0)
    .bind(change.profile.1)
    .bind(change.event_types)
    .bind(change.state)
    .bind(change.at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes another state. The caller holds the lock.
pub(crate) async fn set_state(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    state: i16,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update webhook_endpoints set state = $3, version = version + 1, updated_at = $4
          where tenant_id = $1 and endpoint_id = $2",
    )
    .bind(tenant.uuid())
    .bind(endpoint.uuid())
    .bind(state)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// From the commit on it is not there any more; [`delete`] takes its rows once its keys are destroyed.
pub(crate) async fn begin_deletion(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    set_state(tx, endpoint, DELETING, at).await
}

/// Deletes the rows of one that is being deleted. Whom it was told of stays known. The key that made it is remembered as
/// one whose resource is gone.
pub(crate) async fn delete(tx: &mut TenantTx, endpoint: WebhookEndpointId) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    for statement in [
        "delete from webhook_endpoints where tenant_id = $1 and endpoint_id = $2",
        "delete from webhook_secrets where tenant_id = $1 and endpoint_id = $2",
        "delete from webhook_deliveries where tenant_id = $1 and endpoint_id = $2 and scope_id is null",
        // A notice of an erasure that did not arrive stays known as such.
        "update webhook_deliveries set state = 3, next_attempt_at = null, last_failure = 'ENDPOINT_DELETED'
          where tenant_id = $1 and endpoint_id = $2 and state = 1",
        "with gone as (
           delete from idempotency where tenant_id = $1 and resource_id = $2 and contact_id is null
           returning key_mac, created_at)
         insert into gone_keys (tenant_id, key_mac, created_at)
         select $1, key_mac, created_at from gone on conflict do nothing",
    ] {
        sqlx::query(statement).bind(tenant.uuid()).bind(endpoint.uuid()).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Inserts a signing secret.
pub(crate) async fn insert_secret(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    (unit, sealed): (UnitId, &[u8]),
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into webhook_secrets (tenant_id, unit_id, endpoint_id, secret, created_at) values ($1, $2, $3, $4, $5)",
    )
    .bind(tenant.uuid())
    .bind(unit.uuid())
    .bind(endpoint.uuid())
    .bind(sealed)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The current secret ends at `until`, an older one now. The caller holds the endpoint's lock.
pub(crate) async fn retire_secrets(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update webhook_secrets set expires_at = case when expires_at is null then $4 else least(expires_at, $3) end
          where tenant_id = $1 and endpoint_id = $2",
    )
    .bind(tenant.uuid())
    .bind(endpoint.uuid())
    .bind(now)
    .bind(until)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The secrets that sign at `at`, the newest first.
pub(crate) async fn secrets(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    at: OffsetDateTime,
) -> sqlx::Result<Vec<SecretRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select unit_id, secret from webhook_secrets
          where tenant_id = $1 and endpoint_id = $2 and (expires_at is null or expires_at > $3)
          order by expires_at desc nulls first",
    )
    .bind(tenant.uuid())
    .bind(endpoint.uuid())
    .bind(at)
    .fetch_all(&mut **tx)
    .await
}

/// Deletes a secret that signs no more.
pub(crate) async fn delete_secret(tx: &mut TenantTx, unit: UnitId) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query("delete from webhook_secrets where tenant_id = $1 and unit_id = $2")
        .bind(tenant.uuid())
        .bind(unit.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Those of `tenants` that have an endpoint which is enabled. As the jobs role.
pub(crate) async fn listening(jobs: &sqlx::PgPool, tenants: &[TenantId]) -> sqlx::Result<Vec<TenantId>> {
    let tenants: Vec<Uuid> = tenants.iter().map(|tenant| tenant.uuid()).collect();
    let found: Vec<Uuid> = sqlx::query_scalar(
        "select distinct tenant_id from webhook_endpoints where tenant_id = any ($1) and state = 1",
    )
    .bind(tenants)
    .fetch_all(jobs)
    .await?;
    Ok(found.into_iter().map(TenantId::new).collect())
}
