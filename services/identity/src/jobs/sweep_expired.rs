//! Deletes what has expired: sessions, log-in records, idempotency keys, old revocations. No input, twice is as once, in
//! batches; a tenant at a time.

use std::time::Duration;

use lethe_ids::TenantId;
use lethe_service::{BuildError, Job, Progress, Round};

use crate::{Error, api::Identity, revocation::KEPT_S, store};

/// Rows of one statement over what was consumed.
const CONSUMED: u32 = 5_000;

const NAME: &str = "identity.sweep_expired";

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

/// One round: a batch of each kind in each tenant that has something.
///
/// # Errors
/// When the database does not answer; what was deleted stays deleted.
pub async fn round(identity: &Identity) -> Result<Progress, BuildError> {
    let config = &identity.0.config.sweep;
    let now = identity.0.clock.now();
    let limits = store::due::Limits {
        now,
        idle_since: identity.0.sessions.idle_since(),
        log_in_records: now - time::Duration::days(config.log_in_records_days.into()),
        idempotency: now - time::Duration::hours(config.idempotency_hours.into()),
        revocations_s: KEPT_S,
    };
    let mut round = Round::of(NAME);
    for tenant in store::due::tenants(&identity.0.db, &limits).await? {
        round.note(tenant, of(identity, tenant, &limits).await);
    }
    round.note("what was consumed", lethe_outbox::sweep_consumed(&identity.0.db, CONSUMED).await.map(more));
    round.end()
}

async fn of(identity: &Identity, tenant: TenantId, limits: &store::due::Limits) -> Result<Progress, Error> {
    let mut tx = identity.0.db.tenant(tenant).await?;
    let gone = store::due::delete(&mut tx, limits).await?;
    tx.commit().await?;
    Ok(more(gone))
}

fn more(gone: u64) -> Progress {
    if gone > 0 { Progress::More } else { Progress::Idle }
}
