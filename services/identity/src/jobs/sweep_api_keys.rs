//! Deletes what is no longer kept of API keys: requests and used signatures by their age, and revoked keys as old as the oldest
//! request, with what is left of their secrets. No input, twice is as once, in batches.

use std::time::Duration;

use lethe_ids::ErasureId;
use lethe_service::{BuildError, Job, Progress};

use crate::{api::Identity, store};

/// Rows of one statement, tenants and keys of one round.
const BATCH: i64 = 1_000;
/// A signature is good for a minute before and after; what is older cannot be replayed.
const SIGNATURES: time::Duration = time::Duration::minutes(10);

/// The job.
pub fn job(identity: &Identity) -> Job {
    let interval = Duration::from_secs(identity.0.config.sweep.interval_s);
    let identity = identity.clone();
    let tasks = identity.0.tasks.clone();
    Job::every("identity.sweep_api_keys", &tasks, interval, None, move || {
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
    let mut gone = 0;
    for tenant in store::api_request::due(db, kept, now - SIGNATURES, BATCH).await? {
        let mut tx = db.tenant(tenant).await?;
        gone += store::api_request::delete(&mut tx, kept, now - SIGNATURES, BATCH).await?;
        tx.commit().await?;
    }
    for (tenant, key) in store::api_key::revoked_before(db, kept, BATCH).await? {
        let mut tx = db.tenant(tenant).await?;
        let Some((row, _)) = store::api_key::get(&mut tx, key).await? else { continue };
        drop(tx);
        // The secrets before the row: what is left of them would have no owner that says where they are.
        let cause = ErasureId::new(identity.0.entropy.uuid4());
        identity.0.keyring.destroy(tenant, &[row.subject], &[row.name_unit, row.secret_unit], cause).await?;
        let mut tx = db.tenant(tenant).await?;
        store::api_key::delete(&mut tx, key).await?;
        tx.commit().await?;
        gone += 1;
    }
    Ok(if gone > 0 { Progress::More } else { Progress::Idle })
}
