//! Deletes what is no longer kept of API keys: requests and used signatures by their age, and keys that were revoked or expired
//! before the oldest request, with what is left of their secrets. No input, twice is as once, in batches.

use std::time::Duration;

use lethe_ids::{ApiKeyId, ErasureId, TenantId};
use lethe_service::{BuildError, Job, Progress, Round};
use time::OffsetDateTime;

use crate::{Error, api::Identity, store};

/// Rows of one statement, tenants and keys of one round.
const BATCH: i64 = 1_000;
/// A signature is good for a minute before and after; what is older cannot be replayed.
const SIGNATURES: time::Duration = time::Duration::minutes(10);

const NAME: &str = "identity.sweep_api_keys";

/// The job.
pub fn job(identity: &Identity) -> Job {
    let interval = Duration::from_secs(identity.0.config.sweep.interval_s);
    let identity = identity.clone();
    let tasks = identity.0.tasks.clone();
    Job::every(NAME, &tasks, interval, None, move || {
        let identity = identity.clone();
        async move { round(&identity).await }
    })
}

/// One round.
///
/// # Errors
/// When database or keystore do not answer; what was deleted stays deleted.
pub async fn round(identity: &Identity) -> Result<Progress, BuildError> {
    let (db, now) = (&identity.0.db, identity.0.clock.now());
    let kept = now - time::Duration::days(identity.0.config.api_keys.requests_days.into());
    let mut round = Round::of(NAME);
    for tenant in store::api_request::due(db, kept, now - SIGNATURES, BATCH).await? {
        round.note(tenant, forget_requests(identity, tenant, (kept, now - SIGNATURES)).await);
    }
    for (tenant, key) in store::api_key::ended_before(db, kept, BATCH).await? {
        round.note(key, forget(identity, tenant, key).await.map(|()| Progress::More));
    }
    round.end()
}

/// A batch of a tenant's requests and signatures older than these.
async fn forget_requests(
    identity: &Identity,
    tenant: TenantId,
    (requests, signatures): (OffsetDateTime, OffsetDateTime),
) -> Result<Progress, Error> {
    let mut tx = identity.0.db.tenant(tenant).await?;
    let gone = store::api_request::delete(&mut tx, requests, signatures, BATCH).await?;
    tx.commit().await?;
    Ok(if gone > 0 { Progress::More } else { Progress::Idle })
}

/// A key with its secrets. They go before the row: what is left of them would have no owner that says where they are.
async fn forget(identity: &Identity, tenant: TenantId, key: ApiKeyId) -> Result<(), Error> {
    let mut tx = identity.0.db.tenant(tenant).await?;
    let Some((row, _)) = store::api_key::get(&mut tx, key).await? else { return Ok(()) };
    drop(tx);
    let cause = ErasureId::new(identity.0.entropy.uuid4());
    identity.0.keyring.destroy(tenant, &[row.subject], &[row.name_unit, row.secret_unit], cause).await?;
    let mut tx = identity.0.db.tenant(tenant).await?;
    store::api_key::delete(&mut tx, key).await?;
    Ok(tx.commit().await?)
}
