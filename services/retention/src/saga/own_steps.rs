//! The steps that retention does itself: the key of the censuses and the ledger's entry.

use lethe_keyring::{KeyError, Purpose};
use lethe_proto::erasure::FenceResponse;
use lethe_service::{Failure, TenantTx};
use prost::Message;
use zeroize::Zeroizing;

use super::{Loaded, Outcome, Saga, Trouble, damaged};
use crate::{
    certificate::Digest,
    domain::{Code, Step},
    ledger::{self, Census, LedgerError, Record, SuppressedAddress, Suppression},
    store::{self, Lease},
};

impl Saga {
    /// Passes the point of no return, then makes the two secrets of the censuses' key.
    pub(super) async fn make_census_key(&self, lease: Lease, loaded: &Loaded) -> Result<Outcome, Trouble> {
        let mut tx = self.db.tenant(lease.tenant).await?;
        // Asked here, so that what is queued can still be cancelled; and by messaging, under its own lock, when it is fenced.
        let contact = loaded.erasure.contact.ok_or_else(damaged)?;
        if store::is_held(&mut tx, contact, loaded.erasure.conversation).await? {
            return Err(Trouble::Waits(Code::LEGAL_HOLD, None));
        }
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

    /// Makes the ledger's entries durable: the addresses that stay blocked, if any, and then the erasure. Nothing in the one
    /// says that it belongs to the other.
    pub(super) async fn record(&self, lease: Lease, loaded: &Loaded) -> Result<Outcome, Trouble> {
        let erasure = &loaded.erasure;
        let censuses = loaded.censuses()?;
        let confirmed_at = erasure.confirmed_at.ok_or_else(damaged)?;
        let unavailable = |error: LedgerError| {
            Trouble::Waits(Code::LEDGER_UNAVAILABLE, Some(Box::new(Failure::internal(error))))
        };
        if let Some(suppression) = suppression(lease, loaded)? {
            let record = Record::Suppression(suppression);
            self.ledger.record(record, confirmed_at, self.clock.now()).await.map_err(unavailable)?;
        }
        let entry = ledger::Erasure {
            tenant_id: lease.tenant,
            erasure_id: lease.erasure,
            scope_id: erasure.scope,
            contact_id: erasure.contact.ok_or_else(damaged)?,
            other_contact_ids: loaded
                .other_contacts()?
                .iter()
                .map(|id| id.parse().map_err(|_| damaged()))
                .collect::<Result<_, _>>()?,
            mode: erasure.mode.text().to_owned(),
            conversation_ids: loaded
                .conversations()?
                .iter()
                .map(|id| id.parse().map_err(|_| damaged()))
                .collect::<Result<_, _>>()?,
            confirmed_at,
            censuses: loaded
                .participants
                .iter()
                .zip(censuses)
                .map(|(participant, digest)| Census { participant: participant.clone(), digest })
                .collect(),
        };
        let record = Record::Erasure(entry);
        let recorded = self.ledger.record(record, confirmed_at, self.clock.now()).await;
        recorded.map(Outcome::Recorded).map_err(unavailable)
    }

    /// The hashes are in the ledger: here they would say whose they were.
    pub(super) async fn drop_suppressions(
        &self,
        tx: &mut TenantTx,
        lease: Lease,
        loaded: &Loaded,
    ) -> Result<(), sqlx::Error> {
        for (position, _) in loaded.participants.iter().enumerate() {
            let Ok(fenced) = loaded.answer::<FenceResponse>(Step::Fence, Some(position)) else { continue };
            if !fenced.suppressions.is_empty() {
                let fenced = FenceResponse { suppressions: Vec::new(), ..fenced };
                let step = (Step::Fence, Some(position));
                store::replace_answer(tx, lease, step, &fenced.encode_to_vec()).await?;
            }
        }
        Ok(())
    }

    /// Destroys the censuses' key, and reads the keystore again by the verifier's code.
    pub(super) async fn destroy_census_key(&self, lease: Lease, loaded: &Loaded) -> Result<Outcome, Trouble> {
        let (subject, unit) = loaded.erasure.census_secrets;
        self.keyring.destroy(lease.tenant, &[subject], &[unit], lease.erasure).await?;
        Ok(Outcome::Done(None))
    }
}

/// What messaging put on the list of those that may not be written to.
fn suppression(lease: Lease, loaded: &Loaded) -> Result<Option<Suppression>, Trouble> {
    let mut addresses = Vec::new();
    for position in 0..loaded.participants.len() {
        let fenced: FenceResponse = loaded.answer(Step::Fence, Some(position))?;
        for one in fenced.suppressions {
            addresses.push(SuppressedAddress {
                kind: one.kind,
                mac: <[u8; 32]>::try_from(&one.mac[..]).map(Digest).map_err(|_| damaged())?,
                key_version: one.key_version,
                normaliser_version: one.normaliser_version,
            });
        }
    }
    Ok((!addresses.is_empty()).then_some(Suppression { tenant_id: lease.tenant, addresses }))
}
