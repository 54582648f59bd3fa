//! Opting out and in: the flag on the contact, and the tenant's list of addresses that may not be written to. What is on
//! the list outlives the contact, and whoever comes with a listed address begins opted out.
//!
//! Other contacts with one of the addresses are opted out along with this one: the list is about the address. They are
//! looked for before the transaction and once more after it, for those who were created meanwhile; both that creation and
//! this transaction hold the address's lock.

use std::collections::BTreeSet;

use lethe_ids::{ContactId, TenantId};
use lethe_service::TenantTx;

use crate::{
    domain::{keyword::Keyword, profile::Address},
    error::Error,
    state::{Call, State, Target},
    store::{
        contact, head,
        message::{self, Item, Outcome},
        opt_out::{self, Listed},
    },
};

/// How often a change is begun anew because the contact changed meanwhile.
const ATTEMPTS: usize = 4;

/// Addresses as the opt-out list knows them.
pub(crate) struct Macs {
    /// What is put on the list.
    listed: Vec<Listed>,
    /// Everything under which they may stand there.
    all: Vec<[u8; 32]>,
    /// What is locked, sorted.
    locks: Vec<[u8; 32]>,
}

impl Macs {
    /// Locks the addresses and answers whether one is on the list. Before any head is locked.
    pub(crate) async fn lock_and_ask(&self, tx: &mut TenantTx) -> Result<bool, Error> {
        if self.all.is_empty() {
            return Ok(false);
        }
        opt_out::lock(tx, &self.locks).await?;
        Ok(opt_out::has_any(tx, &self.all).await?)
    }

    /// Puts the addresses on the list. The caller holds their locks.
    pub(crate) async fn add(&self, tx: &mut TenantTx) -> Result<(), Error> {
        Ok(opt_out::add(tx, &self.listed).await?)
    }
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

    /// Other contacts who have one of the addresses.
    async fn sharers(
        &self,
        tenant: TenantId,
        contact: ContactId,
        addresses: &[Address<'_>],
    ) -> Result<BTreeSet<ContactId>, Error> {
        let mut subjects = Vec::new();
        for (kind, text) in addresses.iter().map(Address::kind_and_text) {
            subjects.extend(self.keyring.find_subjects(tenant, kind, text).await?);
        }
        let mut tx = self.tx(tenant).await?;
        let rows = contact::of_subjects(&mut tx, &subjects).await?;
        drop(tx);
        let mut sharers = BTreeSet::new();
        for row in rows.iter().filter(|row| row.id() != contact) {
            // The blind index may still know an address that the contact no longer has.
            let profile = self.open_profile(tenant, row).await?;
            if addresses.iter().any(|address| profile.has(*address)) {
                sharers.insert(row.id());
            }
        }
        Ok(sharers)
    }

    /// Obeys a keyword: accepts the message that said it, if one did, and opts the contact out or in, in one
    /// transaction. Answers what became of the message; opting is done only when it was accepted now.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a contact who is not there or fenced.
    pub(crate) async fn obey(
        &self,
        call: &Call,
        action: &'static str,
        contact: ContactId,
        keyword: Keyword,
        said: Option<&Item>,
    ) -> Result<Option<Outcome>, Error> {
        let tenant = call.tenant;
        for _ in 0..ATTEMPTS {
            let mut tx = self.tx(tenant).await?;
            let row = contact::find(&mut tx, contact).await?.ok_or(Error::NotFound("contact"))?;
            drop(tx);
            let profile = self.open_profile(tenant, &row).await?;
            let addresses = profile.addresses();
            let macs = self.suppression_macs(tenant, &addresses).await?;
            let mut concerned = match keyword {
                Keyword::Stop => self.sharers(tenant, contact, &addresses).await?,
                Keyword::Start => BTreeSet::new(),
            };
            concerned.insert(contact);
            let mut tx = self.tx(tenant).await?;
            macs.lock_and_ask(&mut tx).await?;
            // Locked in the order of ids, as everywhere.
            let mut turned = Vec::new();
            for one in &concerned {
                match head::lock(&mut tx, *one).await? {
                    Some(head) if head.opted_out != (keyword == Keyword::Stop) => turned.push(*one),
                    Some(_) => {}
                    None if *one == contact => return Err(Error::NotFound("contact")),
                    None => {}
                }
            }
            if contact::version(&mut tx, contact).await? != Some(row.version) {
                continue;
            }
            let mut outcome = None;
            if let Some(item) = said {
                let became = message::accept(&mut tx, &[item]).await?.first().copied();
                if !matches!(became, Some(Outcome::Accepted(_))) {
                    return Ok(became);
                }
                outcome = became;
            }
            match keyword {
                Keyword::Stop => macs.add(&mut tx).await?,
                Keyword::Start => opt_out::remove(&mut tx, &macs.all).await?,
            }
            for one in &turned {
                self.turn(&mut tx, call, action, *one, keyword).await?;
            }
            self.commit(tx).await?;
            if keyword == Keyword::Stop {
                let late = self.sharers(tenant, contact, &addresses).await?;
                for one in late.difference(&concerned) {
                    let mut tx = self.tx(tenant).await?;
                    if head::lock(&mut tx, *one).await?.is_some_and(|head| !head.opted_out) {
                        self.turn(&mut tx, call, action, *one, keyword).await?;
                        self.commit(tx).await?;
                    }
                }
            }
            return Ok(outcome);
        }
        Err(Error::Contended)
    }

    /// Writes the flag of one contact and says so. The caller holds the lock of its head.
    async fn turn(
        &self,
        tx: &mut TenantTx,
        call: &Call,
        action: &'static str,
        contact: ContactId,
        keyword: Keyword,
    ) -> Result<(), Error> {
        let seq = head::count_up(tx, contact).await?;
        head::set_opted_out(tx, contact, keyword == Keyword::Stop).await?;
        contact::touch(tx, contact, seq, self.clock.now()).await?;
        self.contact_changed(tx, contact, seq).await?;
        let id = contact.to_string();
        self.audit(tx, call, action, &Target { kind: "contact", id: &id, contact }).await
    }
}
