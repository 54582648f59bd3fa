//! Closes imports that no chunk comes to, and deletes what was kept long enough: reports with their imports, and the keys of
//! rows.

use std::{sync::Arc, time::Duration};

use lethe_ambient::Tasks;
use lethe_ids::{ImportId, TenantId};
use lethe_outbox::{Actor, Audit};
use lethe_proto::messaging::ImportState;
use lethe_service::{BuildError, Job, Progress, Round};
use time::OffsetDateTime;

use crate::{
    domain::channel::Code,
    error::Error,
    state::State,
    store::{due, import, import_key},
};

const NAME: &str = "messaging.sweep_imports";
/// Imports of one round.
const BATCH: i64 = 100;

/// The job.
pub(crate) fn job(state: &Arc<State>, tasks: &Tasks) -> Job {
    let interval = Duration::from_secs(state.config.imports.sweep_interval_s);
    let state = state.clone();
    Job::every(NAME, tasks, interval, None, move || {
        let state = state.clone();
        async move { sweep(&state).await }
    })
}

/// One round.
async fn sweep(state: &State) -> Result<Progress, BuildError> {
    let (jobs, now, config) = (state.db.jobs(), state.clock.now(), &state.config.imports);
    let mut round = Round::of(NAME);
    let idle = now - time::Duration::hours(i64::from(config.idle_hours));
    for (tenant, import) in due::idle_imports(jobs, idle, BATCH).await? {
        round.note(import, expire(state, tenant, import, idle).await);
    }
    let old = now - time::Duration::days(i64::from(config.kept_days));
    for (tenant, import) in due::old_imports(jobs, old, BATCH).await? {
        round.note(import, forget(state, tenant, import).await);
    }
    let forgotten = now - time::Duration::days(i64::from(config.keys_kept_days));
    for tenant in due::tenants_with_old_import_keys(jobs, forgotten).await? {
        round.note(tenant, forget_keys(state, tenant, forgotten).await);
    }
    round.end()
}

async fn expire(
    state: &State,
    tenant: TenantId,
    import: ImportId,
    idle: OffsetDateTime,
) -> Result<Progress, Error> {
    let mut tx = state.tx(tenant).await?;
    // A chunk may have come since.
    let is_idle = import::lock(&mut tx, import).await?.is_some_and(|row| row.updated_at < idle);
    let now = state.clock.now();
    if !is_idle || !import::end(&mut tx, import, ImportState::Expired.number(), now).await? {
        return Ok(Progress::Idle);
    }
    let audit = Audit {
        actor: Actor::Service(crate::NAME),
        action: "ExpireImport",
        target_kind: "import",
        target_id: &import.to_string(),
        contact: None,
        request_id: "",
    };
    state.outbox.audit(&mut tx, &audit).await?;
    state.commit(tx).await?;
    Ok(Progress::More)
}

async fn forget(state: &State, tenant: TenantId, import: ImportId) -> Result<Progress, Error> {
    let mut tx = state.tx(tenant).await?;
    import::forget(&mut tx, import, i64::from(state.config.imports.sweep_batch)).await?;
    tx.commit().await?;
    Ok(Progress::More)
}

async fn forget_keys(state: &State, tenant: TenantId, before: OffsetDateTime) -> Result<Progress, Error> {
    let mut tx = state.tx(tenant).await?;
    let gone = import_key::forget(&mut tx, before, i64::from(state.config.imports.sweep_batch)).await?;
    tx.commit().await?;
    Ok(if gone > 0 { Progress::More } else { Progress::Idle })
}
