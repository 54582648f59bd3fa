//! Banning and its opposite: the contact, and its addresses under the suppression key, so that whoever comes back with one
//! begins banned. Others who have one of the addresses already are banned with it.

use lethe_ids::ContactId;

use crate::{
    domain::profile::Address,
    error::Error,
    state::{Call, State, Target},
    store::{ban, contact, head},
};

/// How often it is begun anew because the contact changed meanwhile.
const ATTEMPTS: usize = 4;
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
            // The addresses' locks: whoever is created with one meanwhile sees the ban or is seen.
            macs.lock_and_ask(&mut tx).await?;
            head::require(&mut tx, contact).await?;
            if contact::version(&mut tx, contact).await? != Some(row.version) {
                continue;
            }
            match to {
                Ban::On => macs.ban(&mut tx).await?,
                Ban::Off => macs.unban(&mut tx).await?,
            }
            self.turn_ban(&mut tx, call, action, contact, to).await?;
            self.commit(tx).await?;
            if to == Ban::On {
                self.ban_sharers(call, action, contact, &addresses).await?;
            }
            return Ok(());
        }
        Err(Error::Contended)
    }

    /// Bans the others who have one of the addresses.
    async fn ban_sharers(
        &self,
        call: &Call,
        action: &'static str,
        contact: ContactId,
        addresses: &[Address<'_>],
    ) -> Result<(), Error> {
        let mut subjects = Vec::new();
        for (kind, text) in addresses.iter().map(Address::kind_and_text) {
            subjects.extend(self.keyring.find_subjects(call.tenant, kind, text).await?);
        }
        subjects.truncate(SHARERS);
        let mut tx = self.tx(call.tenant).await?;
        let rows = contact::of_subjects(&mut tx, &subjects).await?;
        drop(tx);
        for row in rows.iter().filter(|row| row.id() != contact && !row.banned) {
            // The blind index may still know an address that the contact no longer has.
            let theirs = self.open_profile(call.tenant, row).await?;
            if !addresses.iter().any(|address| theirs.has(*address)) {
                continue;
            }
            let mut tx = self.tx(call.tenant).await?;
            if head::lock(&mut tx, row.id()).await?.is_some() {
                self.turn_ban(&mut tx, call, action, row.id(), Ban::On).await?;
                self.commit(tx).await?;
            }
        }
        Ok(())
    }

    /// Writes one contact's ban, if it is another than it was, and says so. The caller holds the lock of its head.
    async fn turn_ban(
        &self,
        tx: &mut lethe_service::TenantTx,
        call: &Call,
        action: &'static str,
        contact: ContactId,
        to: Ban,
    ) -> Result<(), Error> {
        if ban::is_banned(tx, contact).await? == (to == Ban::On) {
            return Ok(());
        }
        match to {
            Ban::On => ban::ban(tx, contact, self.clock.now()).await?,
            Ban::Off => ban::unban(tx, contact).await?,
        }
        let seq = head::count_up(tx, contact).await?;
        contact::touch(tx, contact, seq, self.clock.now()).await?;
        self.contact_changed(tx, contact, seq).await?;
        let id = contact.to_string();
        self.audit(tx, call, action, &Target { kind: "contact", id: &id, contact }).await
    }
}
