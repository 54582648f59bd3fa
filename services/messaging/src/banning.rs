//! Banning and its opposite: the contact, and its addresses under the suppression key, so that whoever comes back with one
//! begins banned. Others who have one of the addresses already are banned with it.

use lethe_ids::ContactId;

use crate::{
    domain::profile::Address,
    error::Error,
    state::{ATTEMPTS, Call, State, Target},
    store::{contact, head},
    suppression::Macs,
};

/// How many others with an address one request bans.
const SHARERS: usize = 100;

/// What is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ban {
    On,
    Off,
}

impl State {
    /// Bans a contact and its addresses, or lifts that. Others with one of the addresses are banned too, at most 100 in one
    /// call; they are not freed with it. Twice is as once.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a contact who is not there or fenced.
    pub(crate) async fn set_ban(
        &self,
        call: &Call,
        action: &'static str,
        contact: ContactId,
        to: Ban,
    ) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            let mut tx = self.tx(call.tenant).await?;
            let row = contact::require(&mut tx, contact).await?;
            drop(tx);
            let profile = self.open_profile(call.tenant, &row).await?;
            let addresses = profile.addresses();
            let macs = self.suppression_macs(call.tenant, &addresses).await?;
            let mut tx = self.tx(call.tenant).await?;
            macs.lock(&mut tx).await?;
            let head = head::require(&mut tx, contact).await?;
            if contact::version(&mut tx, contact).await? != Some(row.version) {
                continue;
            }
            match to {
                Ban::On => macs.ban(&mut tx).await?,
                Ban::Off => macs.unban(&mut tx).await?,
            }
            if head.banned != (to == Ban::On) {
                self.turn_ban(&mut tx, call, action, contact, to).await?;
            }
            self.commit(tx).await?;
            if to == Ban::On {
                self.ban_sharers((call, action), contact, &addresses, &macs).await?;
            }
            return Ok(());
        }
        Err(Error::Contended)
    }

    /// Bans the others who have one of the addresses, as long as that is banned.
    async fn ban_sharers(
        &self,
        (call, action): (&Call, &'static str),
        contact: ContactId,
        addresses: &[Address<'_>],
        macs: &Macs,
    ) -> Result<(), Error> {
        let mut subjects = self.subjects_with(call.tenant, addresses).await?;
        subjects.truncate(SHARERS);
        let sharers = self.sharers((call.tenant, contact), addresses, &subjects, |row| !row.banned).await?;
        for sharer in sharers.contacts {
            let mut tx = self.tx(call.tenant).await?;
            macs.lock(&mut tx).await?;
            if !macs.are_banned(&mut tx).await? {
                // The ban was lifted meanwhile.
                break;
            }
            if head::lock(&mut tx, sharer).await?.is_some_and(|head| !head.banned) {
                self.turn_ban(&mut tx, call, action, sharer, Ban::On).await?;
                self.commit(tx).await?;
            }
        }
        Ok(())
    }

    /// Writes one contact's ban and says so. The caller holds the lock of its head.
    async fn turn_ban(
        &self,
        tx: &mut lethe_service::TenantTx,
        call: &Call,
        action: &'static str,
        contact: ContactId,
        to: Ban,
    ) -> Result<(), Error> {
        let seq = head::count_up(tx, contact).await?;
        head::set_banned(tx, contact, to == Ban::On).await?;
        contact::touch(tx, contact, seq, self.clock.now()).await?;
        self.contact_changed(tx, contact, seq).await?;
        let id = contact.to_string();
        self.audit(tx, call, action, &Target { kind: "contact", id: &id, contact }).await
    }
}
