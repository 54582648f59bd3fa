//! Closes imports that no chunk comes to, and deletes what was kept long enough: reports with their imports, and the keys of
//! rows.

use std::{sync::Arc, time::Duration};

use lethe_ambient::Tasks;
use lethe_outbox::{Actor, Audit};
use lethe_proto::messaging::ImportState;
use lethe_service::{Job, Progress};

use crate::{
    domain::channel::Code,
    error::Error,
    state::State,
    store::{due, import, import_key},
};

/// Imports of one round.
const BATCH: i64 = 100;

/// The job.
pub(crate) fn job(state: &Arc<State>, tasks: &Tasks) -> Job {
    let interval = Duration::from_secs(state.config.imports.sweep_interval_s);
    let state = state.clone();
    Job::every("messaging.sweep_imports", tasks, interval, None, move || {
        let state = state.clone();
        async move { sweep(&state).await }
    })
}

/// One round.
async fn sweep(state: &State) -> Result<Progress, Error> {
    let (jobs, now, config) = (state.db.jobs(), state.clock.now(), &state.config.imports);
    let most = i64::from(config.sweep_batch);
    let mut progress = Progress::Idle;
    let idle = now - time::Duration::hours(i64::from(config.idle_hours));
    for (tenant, import) in due::idle_imports(jobs, idle, BATCH).await? {
        let mut tx = state.tx(tenant).await?;
        // A chunk may have come since.
        let is_idle = import::lock(&mut tx, import).await?.is_some_and(|row| row.updated_at < idle);
        if is_idle && import::end(&mut tx, import, ImportState::Expired.number(), now).await? {
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
            progress = Progress::More;
        }
    }
    let old = now - time::Duration::days(i64::from(config.kept_days));
    for (tenant, import) in due::old_imports(jobs, old, BATCH).await? {
        let mut tx = state.tx(tenant).await?;
        import::forget(&mut tx, import, most).await?;
        tx.commit().await?;
        progress = Progress::More;
    }
    let forgotten = now - time::Duration::days(i64::from(config.keys_kept_days));
    for tenant in due::tenants_with_old_import_keys(jobs, forgotten).await? {
        let mut tx = state.tx(tenant).await?;
        if import_key::forget(&mut tx, forgotten, most).await? > 0 {
            progress = Progress::More;
        }
        tx.commit().await?;
    }
    Ok(progress)
}
