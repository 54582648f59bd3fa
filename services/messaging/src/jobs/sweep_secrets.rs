//! Tells the keyring which of its secrets have rows. One that has none after an hour goes: its row never came.

use std::sync::Arc;

use lethe_ambient::Tasks;
use lethe_service::Job;

use crate::{state::State, store::secrets};

/// The job.
pub(crate) fn job(state: &Arc<State>, tasks: &Tasks) -> Job {
    let asked = state.clone();
    state.keyring.sweep_job(tasks, move |tenant, ids| {
        let state = asked.clone();
        async move {
            let mut tx = state.db.tenant(tenant).await?;
            Ok(secrets::owned(&mut tx, &ids).await?)
        }
    })
}
