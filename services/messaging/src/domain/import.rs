//! Rows of an import: checked as a single request would be, and refused without a word of what stood in them.

use lethe_ids::{ContactId, MemberId};
use lethe_proto::messaging::{
    Channel, ConsentAct, ConsentPurpose, ConversationStatus, Direction, ImportedConsent, ImportedContact,
    ImportedConversation, ImportedMessage, UnreadableRow,
};
use time::{Duration, OffsetDateTime, macros::datetime};

use super::{
    Invalid,
    channel::{optional, required},
    keyword::Keyword,
    profile::Profile,
    source::Source,
    text::MessageText,
};

/// Most characters of a row's key.
pub(crate) const MOST_KEY_CHARACTERS: usize = 200;
/// Most consents of a contact's row.
pub(crate) const MOST_CONSENTS: usize = 20;
/// Most messages of a conversation's row.
pub(crate) const MOST_MESSAGES: usize = 500;
/// Most characters of a code and of a reason.
const MOST_REASON_CHARACTERS: usize = 200;
/// How far another system's clock may be ahead of ours.
const SKEW: Duration = Duration::minutes(5);
/// Nothing was said before.
const EARLIEST: OffsetDateTime = datetime!(1970-01-01 0:00 UTC);

/// The fields of a row that a report may name. What a client calls a field of its own may be about a person.
const FIELDS: [&str; 31] = [
    "contact",
    "conversation",
    "key",
    "profile",
    "name",
    "phone",
    "email",
    "other_phones",
    "other_emails",
    "company",
    "address",
    "tags",
    "custom_fields",
    "label_ids",
    "lifecycle_stage",
    "lead_score",
    "opted_out",
    "consents",
    "purpose",
    "act",
    "source",
    "at",
    "contact_key",
    "contact_id",
    "channel",
    "status",
    "messages",
    "direction",
    "text",
    "sent_at",
    "member_id",
];

/// What the client calls a row. May hold anything, so it is never printed, and kept as a MAC.
pub(crate) struct RowKey(String);

impl RowKey {
    fn new(field: &str, text: String) -> Result<Self, Invalid> {
        match text.chars().count() {
            1..=MOST_KEY_CHARACTERS => Ok(Self(text)),
            _ => Err(Invalid::new(field, format!("must be 1 to {MOST_KEY_CHARACTERS} characters"))),
        }
    }

    /// As it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A contact's row that fits.
pub(crate) struct ContactRow {
    pub(crate) key: RowKey,
    pub(crate) profile: Profile,
    pub(crate) opted_out: bool,
    pub(crate) consents: Vec<ConsentRow>,
}

/// A consent of it.
pub(crate) struct ConsentRow {
    pub(crate) purpose: ConsentPurpose,
    pub(crate) act: ConsentAct,
    pub(crate) source: Source,
    pub(crate) at: OffsetDateTime,
}

impl ContactRow {
    /// Checks it.
    ///
    /// # Errors
    /// [`Invalid`] at the first field that does not fit, as a row has it: `profile.phone`, `consents[1].source`.
    pub(crate) fn new(given: ImportedContact, now: OffsetDateTime) -> Result<Self, Invalid> {
        let key = RowKey::new("key", given.key)?;
        let profile = Profile::new(given.profile.unwrap_or_default())?;
        if given.consents.len() > MOST_CONSENTS {
            return Err(Invalid::new("consents", format!("has more than {MOST_CONSENTS} consents")));
        }
        let consents = given.consents.into_iter().enumerate();
        let consents = consents
            .map(|(number, consent)| ConsentRow::new(&format!("consents[{number}]"), consent, now))
            .collect::<Result<_, _>>()?;
        Ok(Self { key, profile, opted_out: given.opted_out, consents })
    }
}

impl ConsentRow {
    fn new(at: &str, given: ImportedConsent, now: OffsetDateTime) -> Result<Self, Invalid> {
        Ok(Self {
            purpose: required(&format!("{at}.purpose"), given.purpose)?,
            act: required(&format!("{at}.act"), given.act)?,
            source: Source::new(given.source)
                .map_err(|invalid| Invalid::new(format!("{at}.source"), invalid.message))?,
            at: past(&format!("{at}.at"), given.at.map(|at| (at.seconds, at.nanos)), now)?,
        })
    }
}

/// With whom an imported conversation is.
pub(crate) enum With {
    /// A contact that was imported before.
    Key(RowKey),
    /// Any contact.
    Id(ContactId),
}

/// A conversation's row that fits.
pub(crate) struct ConversationRow {
    pub(crate) key: RowKey,
    pub(crate) with: With,
    pub(crate) channel: Channel,
    pub(crate) status: ConversationStatus,
    /// In the order of their times.
    pub(crate) messages: Vec<MessageRow>,
}

/// A message of it.
pub(crate) struct MessageRow {
    pub(crate) key: RowKey,
    pub(crate) direction: Direction,
    pub(crate) text: MessageText,
    pub(crate) sent_at: OffsetDateTime,
    pub(crate) member: Option<MemberId>,
}

impl ConversationRow {
    /// Checks it.
    ///
    /// # Errors
    /// [`Invalid`] at the first field that does not fit: `messages[3].text`.
    pub(crate) fn new(given: ImportedConversation, now: OffsetDateTime) -> Result<Self, Invalid> {
        let key = RowKey::new("key", given.key)?;
        let with = match (given.contact_key.is_empty(), given.contact_id.is_empty()) {
            (false, true) => With::Key(RowKey::new("contact_key", given.contact_key)?),
            (true, false) => With::Id(id("contact_id", &given.contact_id)?),
            _ => return Err(Invalid::new("contact_key", "or contact_id must be there, and not both")),
        };
        if !(1..=MOST_MESSAGES).contains(&given.messages.len()) {
            return Err(Invalid::new("messages", format!("must be 1 to {MOST_MESSAGES} messages")));
        }
        let mut messages: Vec<MessageRow> = Vec::with_capacity(given.messages.len());
        for (number, message) in given.messages.into_iter().enumerate() {
            let at = format!("messages[{number}]");
            let message = MessageRow::new(&at, message, now)?;
            if messages.last().is_some_and(|before| before.sent_at > message.sent_at) {
                return Err(Invalid::new(format!("{at}.sent_at"), "is before the message before it"));
            }
            if messages.iter().any(|before| before.key.0 == message.key.0) {
                return Err(Invalid::new(format!("{at}.key"), "stands there twice"));
            }
            messages.push(message);
        }
        let status = optional("status", given.status)?.unwrap_or(ConversationStatus::Open);
        Ok(Self { key, with, channel: required("channel", given.channel)?, status, messages })
    }
}

impl MessageRow {
    fn new(at: &str, given: ImportedMessage, now: OffsetDateTime) -> Result<Self, Invalid> {
        let within = |invalid: Invalid| Invalid::new(format!("{at}.{}", invalid.field), invalid.message);
        let direction: Direction = required(&format!("{at}.direction"), given.direction)?;
        let member_at = format!("{at}.member_id");
        let member = match given.member_id.as_str() {
            "" => None,
            _ if direction == Direction::Inbound => {
                return Err(Invalid::new(member_at, "stands at outbound messages alone"));
            }
            text => Some(id(&member_at, text)?),
        };
        Ok(Self {
            key: RowKey::new(&format!("{at}.key"), given.key)?,
            direction,
            text: MessageText::new(given.text).map_err(within)?,
            sent_at: past(&format!("{at}.sent_at"), given.sent_at.map(|at| (at.seconds, at.nanos)), now)?,
            member,
        })
    }

    /// STOP or START, if the contact said it.
    pub(crate) fn keyword(&self) -> Option<Keyword> {
        Keyword::of(self.text.expose()).filter(|_| self.direction == Direction::Inbound)
    }
}

fn id<T: std::str::FromStr<Err = lethe_ids::NotAnId>>(field: &str, text: &str) -> Result<T, Invalid> {
    text.parse().map_err(|wrong: lethe_ids::NotAnId| Invalid::new(field, wrong.to_string()))
}

/// An instant (seconds and nanoseconds) since 1970 and not ahead of us.
fn past(field: &str, given: Option<(i64, i32)>, now: OffsetDateTime) -> Result<OffsetDateTime, Invalid> {
    let (seconds, nanos) = given.ok_or_else(|| Invalid::new(field, "is missing"))?;
    let at = OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|at| {
        // To the microsecond, which is what PostgreSQL keeps.
        at.replace_nanosecond(u32::try_from(nanos).ok()? / 1_000 * 1_000).ok()
    });
    at.filter(|at| (EARLIEST..=now + SKEW).contains(at))
        .ok_or_else(|| Invalid::new(field, "must be an instant since 1970 and not in the future"))
}

/// Why a row was refused. Says where and why, and nothing of what stood there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) field: String,
    pub(crate) code: String,
    pub(crate) reason: String,
}

impl Refusal {
    /// The field is named as far as its name is one of ours.
    pub(crate) fn new(field: &str, code: &str, reason: &str) -> Self {
        let cut = |text: &str| text.chars().take(MOST_REASON_CHARACTERS).collect();
        Self { field: known(field).to_owned(), code: cut(code), reason: cut(reason) }
    }

    /// Of a row that the gateway could not read.
    pub(crate) fn unreadable(row: &UnreadableRow) -> Self {
        Self::new(&row.field, &row.code, &row.reason)
    }
}

/// The beginning of a path whose names are all ours: `messages[3]` of `messages[3].Maud`.
fn known(path: &str) -> &str {
    let mut end = 0;
    for segment in path.split('.') {
        let (name, index) = segment.split_once('[').unwrap_or((segment, "0]"));
        let is_index = index.strip_suffix(']').is_some_and(|digits| {
            (1..=4).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
        });
        if !FIELDS.contains(&name) || !is_index {
            break;
        }
        end += segment.len() + usize::from(end > 0);
    }
    &path[..end]
}

#[cfg(test)]
mod tests {
    use lethe_proto::messaging::Profile as Given;
    use lethe_service::timestamp;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-01 12:00 UTC);
    const CONTACT: &str = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa";

    fn contact() -> ImportedContact {
        let consent = ImportedConsent {
            purpose: 2,
            act: 1,
            source: "form".into(),
            at: Some(timestamp(datetime!(2020-01-02 3:04 UTC))),
        };
        ImportedContact {
            key: "crm-1".into(),
            profile: Some(Given { name: "Maud".into(), ..Given::default() }),
            opted_out: true,
            consents: vec![consent],
        }
    }

    fn message(number: usize) -> ImportedMessage {
        ImportedMessage {
            key: format!("m{number}"),
            direction: 2,
            text: "Hello".into(),
            sent_at: Some(timestamp(datetime!(2020-01-02 3:04 UTC))),
            member_id: "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa".into(),
        }
    }

    fn conversation() -> ImportedConversation {
        ImportedConversation {
            key: "talk-1".into(),
            contact_id: CONTACT.into(),
            channel: 3,
            messages: vec![message(0), message(1)],
            ..ImportedConversation::default()
        }
    }

    fn wrong_contact(change: impl FnOnce(&mut ImportedContact)) -> String {
        let mut row = contact();
        change(&mut row);
        ContactRow::new(row, NOW).err().expect("it does not fit").field
    }

    fn wrong(change: impl FnOnce(&mut ImportedConversation)) -> String {
        let mut row = conversation();
        change(&mut row);
        ConversationRow::new(row, NOW).err().expect("it does not fit").field
    }

    #[test]
    fn rows_fit_up_to_their_limits() {
        let mut row = contact();
        row.key = "ü".repeat(MOST_KEY_CHARACTERS);
        row.consents = vec![row.consents[0].clone(); MOST_CONSENTS];
        let row = ContactRow::new(row, NOW).expect("it fits");
        assert_eq!((row.opted_out, row.consents.len()), (true, MOST_CONSENTS));
        let mut row = conversation();
        row.messages = (0..MOST_MESSAGES).map(message).collect();
        row.messages[MOST_MESSAGES - 1].sent_at = Some(timestamp(NOW + SKEW));
        let row = ConversationRow::new(row, NOW).expect("it fits");
        assert_eq!((row.messages.len(), row.status), (MOST_MESSAGES, ConversationStatus::Open));
        let mut row = conversation();
        (row.contact_key, row.contact_id) = ("crm-1".into(), String::new());
        assert!(ConversationRow::new(row, NOW).is_ok_and(|row| matches!(row.with, With::Key(_))));
    }

    #[test]
    fn what_does_not_fit_is_named_as_the_row_has_it() {
        assert_eq!(wrong_contact(|row| row.key.clear()), "key");
        assert_eq!(wrong_contact(|row| row.key = "k".repeat(201)), "key");
        assert_eq!(wrong_contact(|row| row.profile.as_mut().unwrap().phone = "12".into()), "profile.phone");
        assert_eq!(
            wrong_contact(|row| row.profile.as_mut().unwrap().tags = vec!["\n".into()]),
            "profile.tags[0]"
        );
        assert_eq!(wrong_contact(|row| row.consents = vec![row.consents[0].clone(); 21]), "consents");
        assert_eq!(wrong_contact(|row| row.consents[0].source = "A B".into()), "consents[0].source");
        assert_eq!(wrong_contact(|row| row.consents[0].act = 9), "consents[0].act");
        assert_eq!(wrong_contact(|row| row.consents[0].purpose = 0), "consents[0].purpose");
        assert_eq!(wrong_contact(|row| row.consents[0].at = None), "consents[0].at");

        assert_eq!(wrong(|row| row.key.clear()), "key");
        assert_eq!(wrong(|row| row.contact_key = "crm-1".into()), "contact_key");
        assert_eq!(wrong(|row| row.contact_id.clear()), "contact_key");
        assert_eq!(wrong(|row| row.contact_id = "Maud".into()), "contact_id");
        assert_eq!(wrong(|row| row.channel = 0), "channel");
        assert_eq!(wrong(|row| row.status = 7), "status");
        assert_eq!(wrong(|row| row.messages.clear()), "messages");
        assert_eq!(wrong(|row| row.messages = (0..501).map(message).collect()), "messages");
        assert_eq!(wrong(|row| row.messages[1].text.clear()), "messages[1].text");
        assert_eq!(wrong(|row| row.messages[1].key.clear()), "messages[1].key");
        assert_eq!(wrong(|row| row.messages[1].key = "m0".into()), "messages[1].key");
        assert_eq!(wrong(|row| row.messages[0].direction = 0), "messages[0].direction");
        assert_eq!(wrong(|row| row.messages[0].direction = 1), "messages[0].member_id");
        assert_eq!(wrong(|row| row.messages[0].member_id = "Ada".into()), "messages[0].member_id");
        assert_eq!(wrong(|row| row.messages[0].sent_at = Some(timestamp(NOW))), "messages[1].sent_at");
        let later = timestamp(NOW + SKEW + Duration::SECOND);
        assert_eq!(wrong(|row| row.messages[1].sent_at = Some(later)), "messages[1].sent_at");
        let early = timestamp(EARLIEST - Duration::SECOND);
        assert_eq!(wrong(|row| row.messages[0].sent_at = Some(early)), "messages[0].sent_at");
    }

    #[test]
    fn a_report_names_no_field_that_is_not_ours() {
        for (path, told) in [
            ("messages[3].text", "messages[3].text"),
            ("tags[49]", "tags[49]"),
            ("", ""),
            ("Maud Ellingham", ""),
            ("custom_fields.Maud", "custom_fields"),
            ("messages[3].Maud.text", "messages[3]"),
            ("messages[Maud].text", ""),
            ("messages[]", ""),
            ("key[0].", "key[0]"),
        ] {
            assert_eq!(Refusal::new(path, "c", "r").field, told, "{path}");
        }
        assert_eq!(Refusal::new("", "c", &"r".repeat(900)).reason.len(), MOST_REASON_CHARACTERS);
    }

    #[test]
    fn keywords_are_the_contacts() {
        let row = |direction, text: &str| {
            let given =
                ImportedMessage { direction, text: text.into(), member_id: String::new(), ..message(0) };
            MessageRow::new("messages[0]", given, NOW).expect("it fits").keyword()
        };
        assert_eq!(row(1, "STOP"), Some(Keyword::Stop));
        assert_eq!(row(2, "STOP"), None);
        assert_eq!(row(1, "Hello"), None);
    }
}
