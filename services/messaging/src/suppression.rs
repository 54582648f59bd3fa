//! Addresses under the tenant's suppression key, as the lists of opt-outs and of bans know them, and who else has one. Both lists
//! are about addresses and outlive the contacts. Whoever changes a list holds the locks of the addresses, as does whoever
//! comes with one: either sees the list or is seen.

use lethe_ids::{ContactId, SubjectId, TenantId};
use lethe_service::TenantTx;

use crate::{
    domain::profile::Address,
    error::Error,
    state::State,
    store::{
        ban,
        contact::{self, ContactRow},
        opt_out::{self, Listed},
    },
};

/// Addresses as the lists know them.
pub(crate) struct Macs {
    /// What is put on a list.
    listed: Vec<Listed>,
    /// Everything under which they may stand there.
    all: Vec<[u8; 32]>,
    /// What is locked, sorted.
    locks: Vec<[u8; 32]>,
}

impl Macs {
    /// Locks the addresses until the transaction ends. Before any head is locked.
    pub(crate) async fn lock(&self, tx: &mut TenantTx) -> Result<(), Error> {
        if !self.locks.is_empty() {
            opt_out::lock(tx, &self.locks).await?;
        }
        Ok(())
    }

    /// Locks the addresses and answers whether one is on the opt-out list. Before any head is locked.
    pub(crate) async fn lock_and_ask(&self, tx: &mut TenantTx) -> Result<bool, Error> {
        self.lock(tx).await?;
        Ok(!self.all.is_empty() && opt_out::has_any(tx, &self.all).await?)
    }

    /// What is put on a list.
    pub(crate) fn listed(&self) -> &[Listed] {
        &self.listed
    }

    /// Puts the addresses on the opt-out list. The caller holds their locks.
    pub(crate) async fn add(&self, tx: &mut TenantTx) -> Result<(), Error> {
        Ok(opt_out::add(tx, &self.listed).await?)
    }

    /// Takes the addresses off the opt-out list. The caller holds their locks.
    pub(crate) async fn remove(&self, tx: &mut TenantTx) -> Result<(), Error> {
        Ok(opt_out::remove(tx, &self.all).await?)
    }

    /// Whether one of the addresses is banned. The caller holds their locks.
    pub(crate) async fn are_banned(&self, tx: &mut TenantTx) -> Result<bool, Error> {
        Ok(!self.all.is_empty() && ban::has_any(tx, &self.all).await?)
    }

    /// Bans the addresses. The caller holds their locks.
    pub(crate) async fn ban(&self, tx: &mut TenantTx) -> Result<(), Error> {
        Ok(ban::add(tx, &self.listed).await?)
    }

    /// Lifts the addresses' bans. The caller holds their locks.
    pub(crate) async fn unban(&self, tx: &mut TenantTx) -> Result<(), Error> {
        Ok(ban::remove(tx, &self.all).await?)
    }
}

/// Others with one of a contact's addresses.
pub(crate) struct Sharers {
    /// Who they are.
    pub(crate) contacts: Vec<ContactId>,
    /// Whether everybody who may be one could be read.
    pub(crate) are_all: bool,
}

impl State {
    /// Addresses under the tenant's suppression key.
    pub(crate) async fn suppression_macs(
        &self,
        tenant: TenantId,
        addresses: &[Address<'_>],
    ) -> Result<Macs, Error> {
        let keys = self.keyring.suppression(tenant).await?;
        let mut macs = Macs { listed: Vec::new(), all: Vec::new(), locks: Vec::new() };
        for (kind, text) in addresses.iter().map(Address::kind_and_text) {
            macs.all.extend(keys.macs(kind, text).iter().map(|mac| mac.mac));
            let mac = keys.mac(kind, text);
            macs.locks.push(mac.mac);
            macs.listed.push(Listed {
                mac: mac.mac,
                kind: kind.number(),
                key_version: i32::try_from(mac.key_version).unwrap_or(i32::MAX),
                normaliser_version: i32::from(mac.normaliser_version),
            });
        }
        macs.locks.sort_unstable();
        Ok(macs)
    }

    /// The subjects that the blind index knows by one of the addresses.
    pub(crate) async fn subjects_with(
        &self,
        tenant: TenantId,
        addresses: &[Address<'_>],
    ) -> Result<Vec<SubjectId>, Error> {
        let mut subjects = Vec::new();
        for (kind, text) in addresses.iter().map(Address::kind_and_text) {
            subjects.extend(self.keyring.find_subjects(tenant, kind, text).await?);
        }
        Ok(subjects)
    }

    /// The contacts of these subjects beside `contact` who have one of its addresses, of those who are `concerned`; the
    /// oldest first.
    pub(crate) async fn sharers(
        &self,
        (tenant, contact): (TenantId, ContactId),
        addresses: &[Address<'_>],
        subjects: &[SubjectId],
        concerned: impl Fn(&ContactRow) -> bool,
    ) -> Result<Sharers, Error> {
        let mut tx = self.tx(tenant).await?;
        let rows = contact::of_subjects(&mut tx, subjects).await?;
        drop(tx);
        let mut sharers = Sharers { contacts: Vec::new(), are_all: true };
        for row in rows.iter().filter(|row| row.id() != contact && concerned(row)) {
            match self.open_profile(tenant, row).await {
                // The blind index may still know an address that the contact no longer has.
                Ok(theirs) if addresses.iter().any(|address| theirs.has(*address)) => {
                    sharers.contacts.push(row.id());
                }
                Ok(_) => {}
                Err(error) if error.is_about_one_value() => {
                    // What is damaged of somebody else keeps nobody from opting out, and no erasure from its end.
                    tracing::error!(%error, "the profile of one who may share the address does not open");
                    sharers.are_all = false;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(sharers)
    }
}
