//! Destroys the secrets of photos that were replaced or deleted, where the request that did so could not. No input, twice
//! is as once; a tenant at a time.

use std::time::Duration;

use lethe_ids::TenantId;
use lethe_service::{BuildError, Job, Progress, Round};

use crate::{Error, api::Identity, store};

/// Units that one round looks at.
const BATCH: i64 = 100;

const NAME: &str = "identity.destroy_retired_units";

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
/// When database or keystore do not answer; what is destroyed stays destroyed.
pub async fn round(identity: &Identity) -> Result<Progress, BuildError> {
    let tenants = store::photo::retiring(&identity.0.db, BATCH).await?;
    let mut round = Round::of(NAME);
    for tenant in tenants {
        round.note(tenant, of(identity, tenant).await.map(|()| Progress::More));
    }
    round.end()
}

/// Destroys a batch of one tenant's. First the keystore, then the note: a crash in between does it again.
pub(crate) async fn of(identity: &Identity, tenant: TenantId) -> Result<(), Error> {
    let mut tx = identity.0.db.tenant(tenant).await?;
    let retired = store::photo::retired(&mut tx, BATCH).await?;
    drop(tx);
    for (unit, cause) in &retired {
        identity.0.keyring.destroy(tenant, &[], &[*unit], *cause).await?;
    }
    let units: Vec<_> = retired.into_iter().map(|(unit, _)| unit).collect();
    let mut tx = identity.0.db.tenant(tenant).await?;
    store::photo::forget_retired(&mut tx, &units).await?;
    Ok(tx.commit().await?)
}
