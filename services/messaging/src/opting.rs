//! Opting out and in: the flag on the contact, and the tenant's list of addresses that may not be written to. What is on
//! the list outlives the contact, and whoever comes with a listed address begins opted out.
//!
//! Other contacts with one of the addresses are opted out after this one: the list is about the address. That they are to
//! be is written in the same transaction, so that a crash or a crowd leaves the rest to a job. Whoever is created meanwhile
//! either sees the list or is seen: creation and this transaction hold the address's lock.

use lethe_ids::{ContactId, TenantId};
use lethe_service::TenantTx;

use crate::{
    domain::keyword::Keyword,
    error::Error,
    state::{ATTEMPTS, Call, State, Target},
    store::{
        contact, head,
        message::{self, Item, Outcome},
        opt_out,
    },
};

/// How many others the request itself opts out, and how many are read at once.
const SHARERS: usize = 100;

impl State {
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
        let subjects = self.subjects_with(tenant, &addresses).await?;
        let mut all = subjects.len() <= most;
        for some in subjects[..most.min(subjects.len())].chunks(SHARERS) {
            let sharers = self.sharers((tenant, contact), &addresses, some, |row| !row.opted_out).await?;
            all &= sharers.are_all;
            for sharer in sharers.contacts {
                let mut tx = self.tx(tenant).await?;
                if !macs.lock_and_ask(&mut tx).await? {
                    // START came meanwhile.
                    break;
                }
                if head::lock(&mut tx, sharer).await?.is_some_and(|head| !head.opted_out) {
                    self.turn(&mut tx, call, "OptOutContact", sharer, Keyword::Stop).await?;
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
                Keyword::Start => macs.remove(&mut tx).await?,
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
