//! Tells the keyring which addresses a contact has now, when a rectification was cut off before its end.

use std::sync::Arc;

use lethe_ambient::Tasks;
use lethe_keyring::AddressKind;
use lethe_service::Job;

use crate::{error::Error, state::State, store::contact};

/// The job.
pub(crate) fn job(state: &Arc<State>, tasks: &Tasks) -> Job {
    let asked = state.clone();
    state.keyring.settle_job(tasks, move |tenant, subject| {
        let state = asked.clone();
        async move {
            let mut tx = state.tx(tenant).await?;
            let rows = contact::of_subjects(&mut tx, &[subject]).await?;
            drop(tx);
            // A contact is found by the subject of its profile: by no other that a merge brought.
            if rows.first().is_some_and(|row| row.subject() != subject) {
                return Ok(Some(Vec::new()));
            }
            match state.open_contacts(tenant, &rows).await {
                Ok(contacts) => Ok(contacts.first().map(|(_, profile)| {
                    let owned = |(kind, text): (AddressKind, &str)| (kind, text.to_owned());
                    profile.addresses().iter().map(|address| owned(address.kind_and_text())).collect()
                })),
                // Erased meanwhile: its index rows went with it.
                Err(Error::NotFound(_)) => Ok(None),
                Err(error) => Err(error.into()),
            }
        }
    })
}
