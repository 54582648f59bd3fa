//! Rows of an import. Each goes by itself, on the way that a single request goes, with its key in the same transaction: so a
//! row is taken once, whatever is cut off, and one that does not fit keeps no other out.
//!
//! What was said elsewhere is history: it has its own times, nobody is told of it by webhook, no detector looks at it, and what
//! forbids to send does not forbid to keep what was sent. STOP is obeyed as ever; an old START opts nobody in.

mod conversation;

use std::hash::{DefaultHasher, Hash, Hasher};

use futures::future::try_join_all;
use lethe_ids::{ConsentId, ContactId, ConversationId, ImportId};
use lethe_keyring::BlindIndex;
use lethe_proto::messaging::{ImportRow, import_row};
use lethe_service::{Failure, TenantTx};
use uuid::Uuid;

use crate::{
    contacts::Begins,
    domain::{
        Invalid,
        channel::Code,
        import::{ContactRow, ConversationRow, Refusal, RowKey},
    },
    error::Error,
    seal,
    state::{ATTEMPTS, Call, Origin, State},
    store::{
        consent, head,
        import_key::{self, Kind, Known, Place},
    },
};

/// The audit's word for what a row does.
const ACTION: &str = "PutImportChunk";

/// Where rows stand.
pub(crate) struct Chunk<'a> {
    pub(crate) call: &'a Call,
    pub(crate) import: ImportId,
    /// Lines of the chunks before.
    pub(crate) before: i64,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Became {
    Imported,
    /// Its key came before, in another row.
    AlreadyThere,
    Refused(Refusal),
}

/// A row that fits.
enum Draft {
    Contact(Box<ContactRow>),
    Conversation(ConversationRow),
}

impl Draft {
    /// Where a row of this kind is, for a path.
    fn at(&self) -> &'static str {
        match self {
            Self::Contact(_) => "contact",
            Self::Conversation(_) => "conversation",
        }
    }

    fn key(&self) -> &RowKey {
        match self {
            Self::Contact(row) => &row.key,
            Self::Conversation(row) => &row.key,
        }
    }
}

/// Keys of rows as they are stored: MACs, cut to 16 bytes.
struct Keys(BlindIndex);

impl Keys {
    fn of(&self, kind: Kind, key: &RowKey) -> Uuid {
        self.mac(kind, &[key])
    }

    /// A message's key is its conversation's own.
    fn of_message(&self, conversation: &RowKey, key: &RowKey) -> Uuid {
        self.mac(Kind::Message, &[conversation, key])
    }

    fn mac(&self, kind: Kind, keys: &[&RowKey]) -> Uuid {
        let mut bytes = vec![kind as u8];
        for key in keys {
            bytes.extend_from_slice(&(key.as_str().len() as u64).to_be_bytes());
            bytes.extend_from_slice(key.as_str().as_bytes());
        }
        half(self.0.fingerprint(b"messaging import key", &bytes))
    }
}

/// The first half of a MAC.
pub(crate) fn half(mac: [u8; 32]) -> Uuid {
    let mut half = [0; 16];
    half.copy_from_slice(&mac[..16]);
    Uuid::from_bytes(half)
}

impl State {
    /// Takes the rows of a chunk; what became of each, by its line. Contacts come first, for the conversations with them. Rows
    /// with one key are taken in their order.
    ///
    /// # Errors
    /// What is no row's fault: the rows before are in, and the chunk may come again.
    pub(crate) async fn import_rows(
        &self,
        chunk: &Chunk<'_>,
        rows: Vec<ImportRow>,
    ) -> Result<Vec<(i64, Became)>, Error> {
        let keys = Keys(self.keyring.blind(chunk.call.tenant).await?);
        let lanes = self.config.imports.concurrency.max(1);
        let mut kinds: [Vec<Vec<(i64, Draft)>>; 2] =
            std::array::from_fn(|_| (0..lanes).map(|_| Vec::new()).collect());
        let mut became = Vec::with_capacity(rows.len());
        for row in rows {
            let line = chunk.before + i64::from(row.line);
            match self.read_row(row) {
                Ok(draft) => {
                    let mut hasher = DefaultHasher::new();
                    draft.key().as_str().hash(&mut hasher);
                    let lane = usize::try_from(hasher.finish() % lanes as u64).unwrap_or(0);
                    let kind = usize::from(matches!(draft, Draft::Conversation(_)));
                    kinds[kind][lane].push((line, draft));
                }
                Err(refusal) => became.push((line, Became::Refused(refusal))),
            }
        }
        for kind in kinds {
            let taken = kind.into_iter().map(|lane| self.import_lane(chunk, &keys, lane));
            became.extend(try_join_all(taken).await?.into_iter().flatten());
        }
        Ok(became)
    }

    fn read_row(&self, row: ImportRow) -> Result<Draft, Refusal> {
        let now = self.clock.now();
        let refused = |at: &'static str| {
            move |invalid: Invalid| {
                Refusal::new(&format!("{at}.{}", invalid.field), "FIELD_INVALID", &invalid.message)
            }
        };
        match row.row {
            Some(import_row::Row::Contact(given)) => ContactRow::new(given, now)
                .map(|row| Draft::Contact(Box::new(row)))
                .map_err(refused("contact")),
            Some(import_row::Row::Conversation(given)) => {
                ConversationRow::new(given, now).map(Draft::Conversation).map_err(refused("conversation"))
            }
            Some(import_row::Row::Unreadable(row)) => Err(Refusal::unreadable(&row)),
            None => Err(Refusal::new("", "FIELD_MISSING", "must be a contact or a conversation")),
        }
    }

    async fn import_lane(
        &self,
        chunk: &Chunk<'_>,
        keys: &Keys,
        rows: Vec<(i64, Draft)>,
    ) -> Result<Vec<(i64, Became)>, Error> {
        let mut became = Vec::with_capacity(rows.len());
        for (line, draft) in rows {
            let one = match self.import_row(chunk, keys, line, &draft).await {
                Ok(one) => one,
                Err(error) => Became::Refused(refusal(draft.at(), error)?),
            };
            became.push((line, one));
        }
        Ok(became)
    }

    async fn import_row(
        &self,
        chunk: &Chunk<'_>,
        keys: &Keys,
        line: i64,
        draft: &Draft,
    ) -> Result<Became, Error> {
        let place = Place { import: chunk.import, line };
        for _ in 0..ATTEMPTS {
            let became = match draft {
                Draft::Contact(row) => self.import_contact(chunk.call, keys, place, row).await?,
                Draft::Conversation(row) => self.import_conversation(chunk.call, keys, place, row).await?,
            };
            if let Some(became) = became {
                return Ok(became);
            }
        }
        Err(Error::Contended)
    }

    /// `None` when another request took the row meanwhile.
    async fn import_contact(
        &self,
        call: &Call,
        keys: &Keys,
        place: Place,
        row: &ContactRow,
    ) -> Result<Option<Became>, Error> {
        let key = keys.of(Kind::Contact, &row.key);
        let mut tx = self.tx(call.tenant).await?;
        match import_key::find(&mut tx, &[key]).await?.get(&key) {
            None => self.require_labels(&mut tx, "profile.label_ids", row.profile.label_ids()).await?,
            Some(Known::Gone) => return Err(Error::Gone("contact")),
            Some(Known::Made { contact, place: of, .. }) => {
                require_unfenced(&mut tx, *contact, None, "contact").await?;
                return Ok(Some(came_before([*of], place)));
            }
        }
        drop(tx);
        let new = self.prepare_contact(call.tenant, &row.profile).await?;
        let begins = if row.opted_out { Begins::OptedOut } else { Begins::OptedIn };
        let mut tx = self.tx(call.tenant).await?;
        let how = (begins, Origin::Import);
        self.insert_contact(&mut tx, (call, ACTION), &new, &row.profile, how).await?;
        if !import_key::insert(&mut tx, (Kind::Contact, &[key]), (new.contact, None), place, new.at).await? {
            return Ok(None);
        }
        for one in &row.consents {
            let id = ConsentId::new(self.entropy.uuid7(&self.clock));
            let source = seal::seal_source(&new.sealer, id, one.source.as_str());
            let codes = (one.purpose.number(), one.act.number());
            consent::insert(&mut tx, new.contact, id, codes, &source, one.at).await?;
        }
        self.commit(tx).await?;
        if row.opted_out {
            self.spread_soon(call.tenant, new.contact, Some(call)).await;
        }
        Ok(Some(Became::Imported))
    }
}

/// A row whose key came before: in this very place, when the chunk was cut off, or in another.
fn came_before(places: impl IntoIterator<Item = Place>, place: Place) -> Became {
    if places.into_iter().any(|before| before == place) { Became::Imported } else { Became::AlreadyThere }
}

/// What is being erased is gone.
async fn require_unfenced(
    tx: &mut TenantTx,
    contact: ContactId,
    conversation: Option<ConversationId>,
    noun: &'static str,
) -> Result<(), Error> {
    let there = head::holds_off_fence(tx, contact, conversation).await?;
    there.map(drop).ok_or(Error::Gone(noun))
}

/// Why a row is refused, if it is the row's fault.
fn refusal(at: &'static str, error: Error) -> Result<Refusal, Error> {
    match error {
        Error::Invalid(invalid) => {
            Ok(Refusal::new(&format!("{at}.{}", invalid.field), "FIELD_INVALID", &invalid.message))
        }
        Error::Gone(noun) => {
            let code = format!("{}_GONE", noun.to_uppercase());
            Ok(Refusal::new(at, &code, &format!("the {noun} was erased")))
        }
        error @ (Error::NotFound(_) | Error::Restricted | Error::Banned) => {
            let failure = Failure::from(error);
            Ok(Refusal::new(at, &failure.reason, &failure.message))
        }
        error => Err(error),
    }
}
