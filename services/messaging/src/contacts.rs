//! Making a contact: the one way, for a request and for a row of an import. Its secrets come first, then its addresses in the
//! blind index, then its rows, in the caller's transaction.

use lethe_ids::{ContactId, SubjectId, TenantId, UnitId};
use lethe_keyring::Sealer;
use lethe_service::TenantTx;
use time::OffsetDateTime;

use crate::{
    domain::profile::Profile,
    error::Error,
    seal,
    state::{Call, Origin, State, Target},
    store::{
        contact::{self, NewContact},
        head, opt_out,
    },
    suppression::Macs,
};

/// A contact that is about to be: it can be found and sealed for, and has no row yet. Left alone it is swept away.
pub(crate) struct Prepared {
    pub(crate) contact: ContactId,
    subject: SubjectId,
    unit: UnitId,
    /// Of the profile's unit.
    pub(crate) sealer: Sealer,
    macs: Macs,
    pub(crate) at: OffsetDateTime,
}

/// How a contact begins, if its addresses say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begins {
    OptedIn,
    /// It opted out elsewhere: so does whoever else has one of its addresses.
    OptedOut,
}

impl State {
    /// Makes a new contact's secrets, and makes it findable by its addresses.
    pub(crate) async fn prepare_contact(
        &self,
        tenant: TenantId,
        profile: &Profile,
    ) -> Result<Prepared, Error> {
        let contact = ContactId::new(self.entropy.uuid7(&self.clock));
        let (subject, unit) = (SubjectId::new(self.entropy.uuid4()), UnitId::new(self.entropy.uuid4()));
        self.create_secrets(tenant, Some(subject), &[unit], subject).await?;
        let addresses = profile.addresses();
        self.settle_addresses(tenant, subject, &addresses, None).await?;
        let sealer = self.sealer(tenant, subject, unit, "contact").await?;
        let macs = self.suppression_macs(tenant, &addresses).await?;
        Ok(Prepared { contact, subject, unit, sealer, macs, at: self.clock.now() })
    }

    /// Inserts its rows, and says so. One with a listed address begins opted out, one with a banned address banned.
    pub(crate) async fn insert_contact(
        &self,
        tx: &mut TenantTx,
        (call, action): (&Call, &'static str),
        new: &Prepared,
        profile: &Profile,
        (begins, origin): (Begins, Origin),
    ) -> Result<(), Error> {
        let (contact, at) = (new.contact, new.at);
        let listed = new.macs.lock_and_ask(tx).await?;
        let opted_out = listed || begins == Begins::OptedOut;
        let sealed = seal::seal_profile(&new.sealer, contact, 1, profile);
        let row =
            NewContact { contact, subject: new.subject, unit: new.unit, profile: &sealed, opted_out, at };
        contact::insert(tx, &row).await?;
        if opted_out {
            new.macs.add(tx).await?;
        }
        if begins == Begins::OptedOut {
            opt_out::ask_spread(tx, contact, at).await?;
        }
        if new.macs.are_banned(tx).await? {
            head::set_banned(tx, contact, true).await?;
        }
        self.contact_changed_by(tx, contact, 1, origin).await?;
        let id = contact.to_string();
        self.audit(tx, call, action, &Target { kind: "contact", id: &id, contact }).await
    }
}
