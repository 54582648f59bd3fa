//! Sealing and opening: what stands in a row, under whose secrets, for which place.

use lethe_ids::{ConsentId, ContactId, MessageId, RatingId, SubjectId, TenantId, UnitId};
use lethe_keyring::{KeyError, Mark, OpenError, Purpose, Sealer, header};
use lethe_proto::messaging::{Channel, Contact, Message};
use lethe_service::timestamp;
use zeroize::Zeroizing;

use crate::{
    domain::profile::{Address, Profile},
    error::Error,
    state::State,
    store::{contact::ContactRow, message::MessageRow, picture::PictureRow, unsigned},
};

impl State {
    /// Makes secrets, before the first row that uses them.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the subject was destroyed meanwhile.
    pub(crate) async fn create_secrets(
        &self,
        tenant: TenantId,
        subject: Option<SubjectId>,
        units: &[UnitId],
        of_subject: SubjectId,
    ) -> Result<(), Error> {
        of_contact(self.keyring.create(tenant, subject, units, of_subject).await)
    }

    /// Makes a contact findable by these addresses beside those it has; [`State::settle_addresses`] takes the mark.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the subject was destroyed meanwhile.
    pub(crate) async fn add_addresses(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        addresses: &[Address<'_>],
    ) -> Result<Mark, Error> {
        let addresses: Vec<_> = addresses.iter().map(Address::kind_and_text).collect();
        of_contact(self.keyring.add_addresses(tenant, subject, &addresses).await)
    }

    /// Makes a contact findable by these addresses and no others. A new one has no mark.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the subject was destroyed meanwhile.
    pub(crate) async fn settle_addresses(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        addresses: &[Address<'_>],
        mark: Option<Mark>,
    ) -> Result<(), Error> {
        let addresses: Vec<_> = addresses.iter().map(Address::kind_and_text).collect();
        of_contact(self.keyring.settle_addresses(tenant, subject, &addresses, mark).await)
    }

    /// The keys of a unit of a contact who is there: destroyed ones say that it is not.
    pub(crate) async fn sealer(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        unit: UnitId,
        noun: &'static str,
    ) -> Result<Sealer, Error> {
        match self.keyring.sealer(tenant, subject, unit).await {
            Err(KeyError::Destroyed) => Err(Error::NotFound(noun)),
            other => Ok(other?),
        }
    }

    /// The contact's profile.
    pub(crate) async fn open_profile(&self, tenant: TenantId, row: &ContactRow) -> Result<Profile, Error> {
        let sealer = self.sealer(tenant, row.subject(), row.unit(), "contact").await?;
        open_profile(&sealer, row)
    }

    /// Contacts with their profiles, in the order of `rows`. Those whose secret was destroyed are left out.
    pub(crate) async fn open_contacts(
        &self,
        tenant: TenantId,
        rows: &[ContactRow],
    ) -> Result<Vec<(Contact, Profile)>, Error> {
        let units: Vec<_> = rows.iter().map(|row| (row.subject(), row.unit())).collect();
        let sealers = self.keyring.sealers(tenant, &units).await;
        let mut contacts = Vec::with_capacity(rows.len());
        for (row, sealer) in rows.iter().zip(sealers) {
            match sealer {
                Err(KeyError::Destroyed) => {}
                sealer => {
                    let profile = open_profile(&sealer?, row)?;
                    contacts.push((contact(row, &profile), profile));
                }
            }
        }
        Ok(contacts)
    }

    /// Messages with their texts, in the order of `rows`. Those whose secret was destroyed are left out.
    pub(crate) async fn open_messages(
        &self,
        tenant: TenantId,
        rows: &[MessageRow],
    ) -> Result<Vec<Message>, Error> {
        let mut units = Vec::with_capacity(rows.len());
        for text in rows.iter().filter_map(|row| row.text.as_deref()) {
            let header = header::parse(text).ok_or(OpenError::Format)?;
            units.push((header.subject, header.unit));
        }
        let mut sealers = self.keyring.sealers(tenant, &units).await.into_iter();
        let mut messages = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(sealed) = row.text.as_deref() else {
                messages.push(message(row, String::new())?);
                continue;
            };
            match sealers.next().unwrap_or(Err(KeyError::Missing)) {
                Err(KeyError::Destroyed) => {}
                sealer => messages.push(message(row, open_text(&sealer?, row, sealed)?)?),
            }
        }
        Ok(messages)
    }

    /// Like [`Self::open_messages`], one by one: what cannot be opened, because its key is missing or it is damaged, is said
    /// to the operator and left out, so that it does not keep all others from the index.
    ///
    /// # Errors
    /// When keys cannot be had at the moment.
    pub(crate) async fn open_messages_that_open(
        &self,
        tenant: TenantId,
        rows: &[MessageRow],
    ) -> Result<Vec<Message>, Error> {
        match self.open_messages(tenant, rows).await {
            Err(error) if error.is_about_one_value() => {}
            opened => return opened,
        }
        let mut messages = Vec::with_capacity(rows.len());
        for row in rows {
            match self.open_messages(tenant, std::slice::from_ref(row)).await {
                Ok(opened) => messages.extend(opened),
                Err(error) if error.is_about_one_value() => {
                    tracing::error!("a message cannot be opened, and is left out of the index");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(messages)
    }

    /// A consent's source. Of a contact that was merged it is under the secret of who it was then: the header says which.
    pub(crate) async fn open_source(
        &self,
        tenant: TenantId,
        consent: ConsentId,
        sealed: &[u8],
    ) -> Result<String, Error> {
        let header = header::parse(sealed).ok_or(OpenError::Format)?;
        let sealer = self.sealer(tenant, header.subject, header.unit, "contact").await?;
        utf8(sealer.open(Purpose::ConsentNote, consent.uuid(), 1, sealed)?, "consents.source")
    }

    /// One message with its text.
    pub(crate) async fn open_message(&self, tenant: TenantId, row: MessageRow) -> Result<Message, Error> {
        self.open_messages(tenant, &[row]).await?.pop().ok_or(Error::NotFound("message"))
    }
}

fn of_contact<T>(answer: Result<T, KeyError>) -> Result<T, Error> {
    match answer {
        Err(KeyError::Destroyed | KeyError::Missing) => Err(Error::NotFound("contact")),
        other => Ok(other?),
    }
}

/// A profile as it is stored.
pub(crate) fn seal_profile(sealer: &Sealer, contact: ContactId, version: i32, profile: &Profile) -> Vec<u8> {
    sealer.seal(Purpose::ContactProfile, contact.uuid(), version.unsigned_abs(), &profile.encode())
}

fn open_profile(sealer: &Sealer, row: &ContactRow) -> Result<Profile, Error> {
    let version = row.sealed_version.unsigned_abs();
    let opened = sealer.open(Purpose::ContactProfile, row.id().uuid(), version, &row.profile)?;
    Profile::decode(&opened).map_err(|_| Error::Corrupt("contacts.profile"))
}

/// A contact as it goes to a reader.
pub(crate) fn contact(row: &ContactRow, profile: &Profile) -> Contact {
    Contact {
        contact_id: row.id().to_string(),
        profile: Some(profile.to_proto()),
        restricted: row.restriction != 0,
        opted_out: row.opted_out,
        created_at: Some(timestamp(row.created_at)),
        updated_at: Some(timestamp(row.updated_at)),
        version: unsigned(row.version),
        seq: unsigned(row.seq),
        has_picture: row.has_picture,
        banned: row.banned,
    }
}

/// A contact's picture as it is stored.
pub(crate) fn seal_picture(sealer: &Sealer, contact: ContactId, version: i32, content: &[u8]) -> Vec<u8> {
    sealer.seal(Purpose::ContactPicture, contact.uuid(), version.unsigned_abs(), content)
}

/// A contact's picture.
pub(crate) fn open_picture(
    sealer: &Sealer,
    contact: ContactId,
    row: &PictureRow,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    Ok(sealer.open(Purpose::ContactPicture, contact.uuid(), row.version.unsigned_abs(), &row.picture)?)
}

/// A message's text as it is stored.
pub(crate) fn seal_text(sealer: &Sealer, message: MessageId, version: i32, text: &str) -> Vec<u8> {
    sealer.seal(Purpose::MessageText, message.uuid(), version.unsigned_abs(), text.as_bytes())
}

fn open_text(sealer: &Sealer, row: &MessageRow, sealed: &[u8]) -> Result<String, Error> {
    let opened = sealer.open(Purpose::MessageText, row.id().uuid(), row.version.unsigned_abs(), sealed)?;
    utf8(opened, "messages.text")
}

/// A message as it goes to a reader.
fn message(row: &MessageRow, text: String) -> Result<Message, Error> {
    let channel =
        Channel::try_from(i32::from(row.channel)).map_err(|_| Error::Corrupt("conversations.channel"))?;
    Ok(Message {
        message_id: row.id().to_string(),
        conversation_id: row.conversation().to_string(),
        contact_id: row.contact().to_string(),
        channel: channel.into(),
        direction: row.direction.into(),
        member_id: row.member().map(|member| member.to_string()).unwrap_or_default(),
        text,
        created_at: Some(timestamp(row.created_at)),
        edited_at: row.edited_at.map(timestamp),
        deleted_at: row.deleted_at.map(timestamp),
        version: u64::from(row.version.unsigned_abs()),
        seq: unsigned(row.seq),
        delivery: row.delivery_state().into(),
        sent_at: row.sent_at.map(timestamp),
        delivered_at: row.delivered_at.map(timestamp),
        read_at: row.read_at.map(timestamp),
        failed_at: row.failed_at.map(timestamp),
        failure: row.failure.clone().unwrap_or_default(),
    })
}

/// A rating's comment as it is stored.
pub(crate) fn seal_comment(sealer: &Sealer, rating: RatingId, comment: &str) -> Vec<u8> {
    sealer.seal(Purpose::RatingComment, rating.uuid(), 1, comment.as_bytes())
}

/// A rating's comment.
pub(crate) fn open_comment(sealer: &Sealer, rating: RatingId, sealed: &[u8]) -> Result<String, Error> {
    utf8(sealer.open(Purpose::RatingComment, rating.uuid(), 1, sealed)?, "ratings.comment")
}

/// A consent's source as it is stored.
pub(crate) fn seal_source(sealer: &Sealer, consent: ConsentId, source: &str) -> Vec<u8> {
    sealer.seal(Purpose::ConsentNote, consent.uuid(), 1, source.as_bytes())
}

fn utf8(bytes: Zeroizing<Vec<u8>>, column: &'static str) -> Result<String, Error> {
    std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| Error::Corrupt(column))
}
