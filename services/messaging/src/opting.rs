//! Opting out and in: the flag on the contact, and the tenant's list of addresses that may not be written to. What is on
//! the list outlives the contact, and whoever comes with a listed address begins opted out.
//!
//! Other contacts with one of the addresses are opted out after this one: the list is about the address. That they are to
//! be is written in the same transaction, so that a crash or a crowd leaves the rest to a job. Whoever is created meanwhile
//! either sees the list or is seen: creation and this transaction hold the address's lock.

use lethe_ids::{ContactId, TenantId};
use lethe_service::TenantTx;

use crate::{
    domain::{keyword::Keyword, profile::Address},
    error::Error,
    state::{Call, State, Target},
    store::{
        ban, contact, head,
        message::{self, Item, Outcome},
        opt_out::{self, Listed},
    },
};

/// How often a change is begun anew because the contact changed meanwhile.
const ATTEMPTS: usize = 4;
/// How many others the request itself opts out, and how many are read at once.
const SHARERS: usize = 100;

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

    /// What is put on the list.
    pub(crate) fn listed(&self) -> &[Listed] {
        &self.listed
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

    /// Opts out the others who have one of the contact's addresses, as long as that is on the list; at most `most` of
    /// those that the blind index names, each in a transaction of its own. Answers whether that was all. Twice is as once.
    ///
    /// # Errors
    /// What failed; those who were opted out before stay so.
    pub(crate) async fn spread(
        &self,
        tenant: TenantId,
        contact: ContactId,
        call: Option<&Call>,
        most: usize,
    ) -> Result<bool, Error> {
        let mut tx = self.tx(tenant).await?;
        // Before the addresses are read: a STOP that comes later, with others perhaps, leaves a later note.
        let Some(asked_at) = opt_out::spread_asked_at(&mut tx, contact).await? else { return Ok(true) };
        let row = contact::find(&mut tx, contact).await?;
        drop(tx);
        // Being erased: its addresses are not known any more, and the note goes with it.
        let Some(row) = row else { return Ok(false) };
        let profile = self.open_profile(tenant, &row).await?;
        let addresses = profile.addresses();
        let macs = self.suppression_macs(tenant, &addresses).await?;
        let mut subjects = Vec::new();
        for (kind, text) in addresses.iter().map(Address::kind_and_text) {
            subjects.extend(self.keyring.find_subjects(tenant, kind, text).await?);
        }
        let mut all = subjects.len() <= most;
        for some in subjects[..most.min(subjects.len())].chunks(SHARERS) {
            let mut tx = self.tx(tenant).await?;
            let rows = contact::of_subjects(&mut tx, some).await?;
            drop(tx);
            for row in rows.iter().filter(|row| row.id() != contact && !row.opted_out) {
                // The blind index may still know an address that the contact no longer has.
                let theirs = match self.open_profile(tenant, row).await {
                    Err(error) if error.is_about_one_value() => {
                        // What is damaged of somebody else keeps nobody from opting out, and no erasure from its end.
                        tracing::error!(%error, "the profile of one who may share the address does not open");
                        all = false;
                        continue;
                    }
                    opened => opened?,
                };
                if !addresses.iter().any(|address| theirs.has(*address)) {
                    continue;
                }
                let mut tx = self.tx(tenant).await?;
                if !macs.lock_and_ask(&mut tx).await? {
                    // START came meanwhile.
                    break;
                }
                if head::lock(&mut tx, row.id()).await?.is_some_and(|head| !head.opted_out) {
                    self.turn(&mut tx, call, "OptOutContact", row.id(), Keyword::Stop).await?;
                    self.commit(tx).await?;
                }
            }
        }
        if all {
            let mut tx = self.tx(tenant).await?;
            opt_out::end_spread(&mut tx, contact, asked_at).await?;
            tx.commit().await?;
        }
        Ok(all)
    }

    /// Opts out the first of them. What is not done now, the job does.
    pub(crate) async fn spread_soon(&self, tenant: TenantId, contact: ContactId, call: Option<&Call>) {
        if let Err(error) = self.spread(tenant, contact, call, SHARERS).await {
            tracing::warn!(%error, "others with the address are opted out by the job");
        }
    }

    /// Obeys a keyword: accepts the message that said it, if one did, and opts the contact out or in, in one
    /// transaction. Answers what became of the message; opting is done only when it was accepted now.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a contact who is not there or fenced.
    pub(crate) async fn obey(
        &self,
        tenant: TenantId,
        call: Option<&Call>,
        action: &'static str,
        contact: ContactId,
        keyword: Keyword,
        said: Option<&Item>,
    ) -> Result<Option<Outcome>, Error> {
        for _ in 0..ATTEMPTS {
            let mut tx = self.tx(tenant).await?;
            let row = contact::require(&mut tx, contact).await?;
            drop(tx);
            let profile = self.open_profile(tenant, &row).await?;
            let addresses = profile.addresses();
            let macs = self.suppression_macs(tenant, &addresses).await?;
            let mut tx = self.tx(tenant).await?;
            macs.lock_and_ask(&mut tx).await?;
            let head = head::require(&mut tx, contact).await?;
            if contact::version(&mut tx, contact).await? != Some(row.version) {
                continue;
            }
            let mut outcome = None;
            if let Some(item) = said {
                let became = message::accept(&mut tx, &[item]).await?.first().copied();
                // Whoever is banned is not heard, but for this: nobody is kept from opting out (GDPR Art. 21(3)). Nothing
                // remembers what was refused, so a START that comes twice would undo the STOP after it.
                match (became, keyword) {
                    (Some(Outcome::Accepted(_)), _) | (Some(Outcome::Banned), Keyword::Stop) => {}
                    _ => return Ok(became),
                }
                outcome = became;
            }
            match keyword {
                Keyword::Stop => {
                    macs.add(&mut tx).await?;
                    opt_out::ask_spread(&mut tx, contact, self.clock.now()).await?;
                }
                Keyword::Start => opt_out::remove(&mut tx, &macs.all).await?,
            }
            if head.opted_out != (keyword == Keyword::Stop) {
                self.turn(&mut tx, call, action, contact, keyword).await?;
            }
            self.commit(tx).await?;
            if keyword == Keyword::Stop {
                self.spread_soon(tenant, contact, call).await;
            }
            return Ok(outcome);
        }
        Err(Error::Contended)
    }

    /// Writes the flag of one contact and says so. The caller holds the lock of its head.
    async fn turn(
        &self,
        tx: &mut TenantTx,
        call: Option<&Call>,
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
