//! A row with a conversation: it is opened as it was elsewhere, its messages go in by the function that accepts all messages,
//! at their own times. A longer one goes on in further rows: what is new goes behind what is there.

use lethe_ids::{ContactId, ConversationId, MessageId, SubjectId, UnitId};
use lethe_keyring::Sealer;
use lethe_proto::{
    event::MessageChanged,
    messaging::{ConversationStatus, Direction},
};
use lethe_service::{TenantTx, Trace};
use prost::Message;
use uuid::Uuid;

use super::{ACTION, Became, Keys, came_before, require_unfenced};
use crate::{
    api::conversation_changed,
    domain::{
        Invalid,
        channel::Code,
        import::{ConversationRow, MessageRow, With},
        keyword::Keyword,
        month::Month,
    },
    error::Error,
    seal,
    state::{Call, Origin, State},
    store::{
        contact,
        conversation::{self, NewConversation, Settings},
        head, import,
        import_key::{self, Kind, Known, Place},
        message::{self, Item, Outcome},
    },
};

/// A conversation to which messages are added.
struct Talk<'a> {
    call: &'a Call,
    row: &'a ConversationRow,
    place: Place,
    key: Uuid,
    contact: ContactId,
    subject: SubjectId,
    conversation: ConversationId,
    is_new: bool,
    /// Those that are not there yet: at least one.
    messages: Vec<NewMessage<'a>>,
}

struct NewMessage<'a> {
    /// In the row, from 0.
    number: usize,
    key: Uuid,
    row: &'a MessageRow,
}

/// A month in which something was said, and its secrets.
struct MonthUnit {
    month: Month,
    unit: UnitId,
    sealer: Sealer,
    is_new: bool,
}

impl State {
    /// `None` when another request took the row meanwhile.
    pub(super) async fn import_conversation(
        &self,
        call: &Call,
        keys: &Keys,
        place: Place,
        row: &ConversationRow,
    ) -> Result<Option<Became>, Error> {
        let mut tx = self.tx(call.tenant).await?;
        let talk = match self.find_talk(&mut tx, call, keys, place, row).await? {
            Ok(talk) => talk,
            Err(became) => return Ok(Some(became)),
        };
        drop(tx);
        let months = self.months(&talk).await?;
        // Before the row: whatever becomes of that, whoever said STOP is not written to.
        let said = talk.messages.iter().rev().find_map(|message| message.row.keyword());
        if said == Some(Keyword::Stop) {
            self.obey(call.tenant, Some(call), ACTION, talk.contact, Keyword::Stop, None).await?;
        }
        let mut tx = self.tx(call.tenant).await?;
        if !self.insert_talk(&mut tx, &talk, &months).await? {
            return Ok(None);
        }
        self.commit(tx).await?;
        Ok(Some(Became::Imported))
    }

    /// What of the row is new, or what became of it when nothing is.
    async fn find_talk<'a>(
        &self,
        tx: &mut TenantTx,
        call: &'a Call,
        keys: &Keys,
        place: Place,
        row: &'a ConversationRow,
    ) -> Result<Result<Talk<'a>, Became>, Error> {
        let key = keys.of(Kind::Conversation, &row.key);
        let with = match &row.with {
            With::Key(key) => Some(keys.of(Kind::Contact, key)),
            With::Id(_) => None,
        };
        let messages: Vec<NewMessage<'a>> = row
            .messages
            .iter()
            .enumerate()
            .map(|(number, one)| NewMessage { number, key: keys.of_message(&row.key, &one.key), row: one })
            .collect();
        let asked: Vec<Uuid> = messages.iter().map(|one| one.key).chain([key]).chain(with).collect();
        let known = import_key::find(tx, &asked).await?;
        let contact = match (&row.with, with.and_then(|key| known.get(&key))) {
            (With::Id(contact), _) | (_, Some(Known::Made { contact, .. })) => *contact,
            (_, Some(Known::Gone)) => return Err(Error::Gone("contact")),
            (_, None) => return Err(Error::NotFound("contact")),
        };
        let there = match known.get(&key) {
            None => None,
            Some(Known::Gone) => return Err(Error::Gone("conversation")),
            Some(Known::Made { contact: of, conversation, place }) if *of == contact => {
                require_unfenced(tx, contact, Some(*conversation), "conversation").await?;
                Some((*conversation, *place))
            }
            Some(_) => return Err(Invalid::new("key", "is of a conversation with another contact").into()),
        };
        let places = messages.iter().filter_map(|one| match known.get(&one.key) {
            Some(Known::Made { place, .. }) => Some(*place),
            _ => None,
        });
        let places: Vec<Place> = places.chain(there.map(|(_, place)| place)).collect();
        let mut messages = messages;
        messages.retain(|one| !known.contains_key(&one.key));
        let Some(first) = messages.first().map(|first| Month::of(first.row.sent_at)) else {
            return Ok(Err(came_before(places, place)));
        };
        let none = || Error::NotFound("contact");
        let subject = match there {
            Some((id, _)) => conversation::route(tx, id, first).await?.ok_or_else(none)?.subject(),
            None => contact::find(tx, contact).await?.ok_or_else(none)?.subject(),
        };
        let new = || ConversationId::new(self.entropy.uuid7(&self.clock));
        Ok(Ok(Talk {
            call,
            row,
            place,
            key,
            contact,
            subject,
            conversation: there.map_or_else(new, |(id, _)| id),
            is_new: there.is_none(),
            messages,
        }))
    }

    /// The secrets of the months in which something was said, before any row that uses them.
    async fn months(&self, talk: &Talk<'_>) -> Result<Vec<MonthUnit>, Error> {
        let tenant = talk.call.tenant;
        let mut months: Vec<Month> = talk.messages.iter().map(|one| Month::of(one.row.sent_at)).collect();
        months.dedup();
        let mut units = Vec::with_capacity(months.len());
        let mut tx = self.tx(tenant).await?;
        for month in months {
            let known = match talk.is_new {
                true => None,
                false => conversation::route(&mut tx, talk.conversation, month).await?,
            };
            let known = known.and_then(|row| row.unit());
            units.push((month, known.unwrap_or_else(|| UnitId::new(self.entropy.uuid4())), known.is_none()));
        }
        drop(tx);
        let made: Vec<UnitId> =
            units.iter().filter(|(.., is_new)| *is_new).map(|(_, unit, _)| *unit).collect();
        self.create_secrets(tenant, None, &made, talk.subject).await?;
        let mut months = Vec::with_capacity(units.len());
        for (month, unit, is_new) in units {
            let sealer = self.sealer(tenant, talk.subject, unit, "contact").await?;
            months.push(MonthUnit { month, unit, sealer, is_new });
        }
        Ok(months)
    }

    /// `false` when another request did it meanwhile: nothing is to be kept then.
    async fn insert_talk(
        &self,
        tx: &mut TenantTx,
        talk: &Talk<'_>,
        months: &[MonthUnit],
    ) -> Result<bool, Error> {
        let (contact, conversation) = (talk.contact, talk.conversation);
        let head = head::lock_for(tx, contact, conversation).await?.ok_or(Error::NotFound("contact"))?;
        // Kept, not used (Art. 18): nothing is added.
        if head.restriction != 0 {
            return Err(Error::Restricted);
        }
        let at = self.clock.now();
        let of = (contact, Some(conversation));
        let key = (Kind::Conversation, &[talk.key][..]);
        if talk.is_new && !import_key::insert(tx, key, of, talk.place, at).await? {
            return Ok(false);
        }
        let keys: Vec<Uuid> = talk.messages.iter().map(|one| one.key).collect();
        if !import_key::insert(tx, (Kind::Message, &keys), of, talk.place, at).await? {
            return Ok(false);
        }
        if talk.is_new {
            self.open_talk(tx, talk).await?;
        } else {
            require_later(tx, talk).await?;
        }
        for month in months.iter().filter(|month| month.is_new) {
            if !conversation::insert_unit(tx, conversation, month.month, month.unit).await? {
                return Ok(false);
            }
        }
        let items = self.items(talk, months)?;
        let mut seq = 0;
        for outcome in message::accept(tx, &items.iter().collect::<Vec<_>>()).await? {
            seq = match outcome {
                Outcome::Accepted(seq) => seq,
                Outcome::Banned => return Err(Error::Banned),
                Outcome::NotFound => return Err(Error::NotFound("contact")),
                _ => return Err(Error::Corrupt("accept_messages_v3")),
            };
        }
        let is_outbound = |one: &NewMessage<'_>| one.row.direction == Direction::Outbound;
        let outbound = talk.messages.iter().zip(&items).filter(|(one, _)| is_outbound(one));
        let outbound: Vec<Uuid> = outbound.map(|(_, item)| item.message.uuid()).collect();
        import::settle(tx, conversation, &outbound, seq).await?;
        Ok(true)
    }

    /// Opens the conversation, as of its first message.
    async fn open_talk(&self, tx: &mut TenantTx, talk: &Talk<'_>) -> Result<(), Error> {
        let seq = head::count_up(tx, talk.contact).await?;
        let at = talk.messages.first().map_or_else(|| self.clock.now(), |first| first.row.sent_at);
        let new = NewConversation {
            conversation: talk.conversation,
            contact: talk.contact,
            subject: talk.subject,
            channel: talk.row.channel.number(),
            status: ConversationStatus::Open.number(),
            seq,
            at,
        };
        conversation::insert(tx, &new).await?;
        if talk.row.status == ConversationStatus::Resolved {
            let status = talk.row.status.number();
            let settings = Settings { status, assigned: None, labels: Vec::new() };
            conversation::update(tx, talk.conversation, &settings, seq).await?;
        }
        let who = (talk.call, ACTION);
        conversation_changed(self, tx, who, (talk.conversation, talk.contact), seq, Origin::Import).await
    }

    /// The messages as accepting takes them. All go in as if they came from the contact, and are set right afterwards: what an
    /// opt-out forbids is sending, and these were sent.
    fn items(&self, talk: &Talk<'_>, months: &[MonthUnit]) -> Result<Vec<Item>, Error> {
        let mut items = Vec::with_capacity(talk.messages.len());
        for one in &talk.messages {
            let (id, at) = (MessageId::new(self.entropy.uuid7(&self.clock)), one.row.sent_at);
            let month = months.iter().find(|unit| unit.month == Month::of(at));
            let sealer = &month.ok_or(Error::Corrupt("conversation_units"))?.sealer;
            let changed = MessageChanged {
                message_id: id.to_string(),
                conversation_id: talk.conversation.to_string(),
                contact_id: talk.contact.to_string(),
                version: None,
                imported: true,
            };
            items.push(Item {
                tenant: talk.call.tenant,
                contact: talk.contact,
                conversation: talk.conversation,
                message: id,
                outbound: false,
                member: one.row.member,
                at,
                once: None,
                text: seal::seal_text(sealer, id, 1, one.row.text.expose()),
                event: changed.encode_to_vec(),
                trace: Trace::current().map(Trace::text),
                touch: one.number + 1 == talk.row.messages.len(),
            });
        }
        Ok(items)
    }
}

/// What is added to a conversation was said after what it has.
async fn require_later(tx: &mut TenantTx, talk: &Talk<'_>) -> Result<(), Error> {
    let last = import::last_said(tx, talk.conversation).await?;
    match talk.messages.first() {
        Some(first) if last.is_some_and(|last| first.row.sent_at < last) => {
            let field = format!("messages[{}].sent_at", first.number);
            Err(Invalid::new(field, "is before the last message that is there").into())
        }
        _ => Ok(()),
    }
}
