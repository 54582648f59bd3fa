//! The steps that retention does itself: the key of the censuses and the ledger's entry.

use lethe_keyring::{KeyError, Purpose};
use lethe_service::Failure;
use zeroize::Zeroizing;

use super::{Loaded, Outcome, Saga, Trouble, damaged};
use crate::{
    domain::{Code, Mode},
    ledger::{self, Census},
    store::{self, Lease},
};

impl Saga {
    /// Passes the point of no return, then makes the two secrets of the censuses' key.
    pub(super) async fn make_census_key(&self, lease: Lease, loaded: &Loaded) -> Result<Outcome, Trouble> {
        let mut tx = self.db.tenant(lease.tenant).await?;
        if !store::start_fencing(&mut tx, lease, self.clock.now()).await? {
            return Err(Trouble::Lost);
        }
        tx.commit().await?;
        let (subject, unit) = loaded.erasure.census_secrets;
        match self.keyring.create(lease.tenant, Some(subject), &[unit], subject).await {
            Ok(()) | Err(KeyError::AlreadyExists) => Ok(Outcome::Done(None)),
            Err(error) => Err(error.into()),
        }
    }

    /// The key that the participants seal their censuses under.
    pub(super) async fn census_key(
        &self,
        lease: Lease,
        loaded: &Loaded,
    ) -> Result<Zeroizing<[u8; 32]>, Trouble> {
        let (subject, unit) = loaded.erasure.census_secrets;
        let sealer = self.keyring.sealer(lease.tenant, subject, unit).await?;
        Ok(sealer.handed_key(Purpose::Census))
    }

    /// Makes the ledger's entry durable.
    pub(super) async fn record(&self, lease: Lease, loaded: &Loaded) -> Result<Outcome, Trouble> {
        let erasure = &loaded.erasure;
        let censuses = loaded.censuses()?;
        let entry = ledger::Erasure {
            tenant_id: lease.tenant,
            erasure_id: lease.erasure,
            scope_id: erasure.scope,
            contact_id: erasure.contact.ok_or_else(damaged)?,
            mode: Mode::Everything.text().to_owned(),
            confirmed_at: erasure.confirmed_at.ok_or_else(damaged)?,
            censuses: loaded
                .participants
                .iter()
                .zip(censuses)
                .map(|(participant, digest)| Census { participant: participant.clone(), digest })
                .collect(),
        };
        let recorded = self.ledger.record_erasure(entry, self.clock.now()).await;
        recorded.map(Outcome::Recorded).map_err(|error| {
            Trouble::Waits(Code::LEDGER_UNAVAILABLE, Some(Box::new(Failure::internal(error))))
        })
    }

    /// Destroys the censuses' key, and reads the keystore again by the verifier's code.
    pub(super) async fn destroy_census_key(&self, lease: Lease, loaded: &Loaded) -> Result<Outcome, Trouble> {
        let (subject, unit) = loaded.erasure.census_secrets;
        self.keyring.destroy(lease.tenant, &[subject], &[unit], lease.erasure).await?;
        Ok(Outcome::Done(None))
    }
}
