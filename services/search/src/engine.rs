//! The contract of a search engine. An engine holds documents and finds their ids; it never gives a text back, and
//! stores none beside its terms. Two things it does not do: it does not know fences (`indexer` does), and it analyses
//! nothing (`analysis` does).
//!
//! Everything goes by tenant: the tenant is the routing, of writes, deletes and searches alike. A write carries the
//! fencing token of the lease it was made under; an engine refuses one below the highest it has seen.
//! Visible, durable and gone are three steps: [`Engine::refresh`], [`Engine::sync`], [`Engine::expunge`].

pub mod tantivy;

use futures::future::BoxFuture;
use lethe_ambient::Sensitive;
use lethe_ids::{ContactId, ConversationId, MemberId, MessageId, TenantId};
use lethe_proto::messaging::Channel;
use time::OffsetDateTime;

use crate::analysis::Sought;

/// Orders the states of a message: a restore raises the incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// How often the system of record was restored.
    pub incarnation: u32,
    /// The contact's sequence when the message last changed.
    pub seq: u64,
}

impl Version {
    /// Of a state that nobody named: older than any.
    pub const UNKNOWN: Self = Self { incarnation: 0, seq: 0 };
}

/// An instant as the engines order by it: microseconds since 1970.
pub fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

/// A message as it is indexed.
#[derive(Clone)]
pub struct Document {
    /// Its id within the tenant.
    pub message: MessageId,
    /// Whose it is.
    pub contact: ContactId,
    /// Where it was said.
    pub conversation: ConversationId,
    /// What it was said through.
    pub channel: Channel,
    /// Who wrote it, when it is outbound.
    pub author: Option<MemberId>,
    /// Who the conversation is assigned to.
    pub assigned: Option<MemberId>,
    /// When it was accepted: microseconds since 1970.
    pub at: i64,
    /// The state that this is.
    pub version: Version,
    /// What was said: goes into terms, and is kept nowhere else.
    pub text: Sensitive<String>,
}

/// A change of a tenant's documents.
#[derive(Clone)]
pub enum Write {
    /// Puts the document in the place of the one with its id, unless that one is newer.
    Put(Box<Document>),
    /// Deletes one message. An older state of it is not taken afterwards.
    Remove(MessageId, Version),
    /// Deletes all messages of a contact.
    RemoveContact(ContactId),
    /// Deletes all messages of the tenant.
    RemoveTenant,
}

/// What a batch came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Documents that are new or changed.
    pub put: u64,
    /// Puts of a state that was there already.
    pub unchanged: u64,
    /// Puts of an older state: not taken.
    pub stale: u64,
}

/// Proves that a write was made under the latest lease of its shard. Higher is later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FencingToken(pub i64);

/// What a search wants. `None` does not filter.
#[derive(Debug, Clone)]
pub struct Search {
    /// The words.
    pub sought: Sought,
    /// Said through this channel.
    pub channel: Option<Channel>,
    /// By or to this contact.
    pub contact: Option<ContactId>,
    /// In this conversation.
    pub conversation: Option<ConversationId>,
    /// Written by this member, or assigned to it.
    pub member: Option<MemberId>,
    /// Not before; microseconds since 1970.
    pub from: Option<i64>,
    /// Before; microseconds since 1970.
    pub until: Option<i64>,
    /// Which hits come first.
    pub order: Order,
    /// Behind this hit.
    pub after: Option<Hit>,
    /// At most so many.
    pub limit: usize,
}

/// Which hits come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest.
    #[default]
    Newest,
    /// Those in which the words stand in a row, as typed, often and among few others; then the newest.
    Relevance,
}

/// A message that was found. Hits are ordered by rank, time and then id, the greatest first: the order depends on nothing
/// but the message, least of all on what other tenants wrote, and a hit is the cursor to those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// How relevant it is; 0 for all where the newest come first.
    pub rank: u32,
    /// When it was accepted: microseconds since 1970.
    pub at: i64,
    /// Its id.
    pub message: MessageId,
}

/// What the purge of a shard came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expunged {
    /// Segments that held a deleted document and were written anew.
    pub segments: u64,
    /// Deleted documents whose bytes went.
    pub documents: u64,
}

/// What is looked for in everything a shard has on disk.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// No document may name one of these contacts.
    pub contacts: Vec<ContactId>,
    /// No document may have one of these ids.
    pub messages: Vec<MessageId>,
    /// No document may name one of these conversations.
    pub conversations: Vec<ConversationId>,
}

/// What was found on disk, deleted documents included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Segments that were read.
    pub segments: u64,
    /// Terms that were read.
    pub terms: u64,
    /// Ids that were looked for and are there.
    pub found: u64,
    /// Files that belong to no segment of the index.
    pub stray_files: u64,
}

/// What an engine found when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// All that was written is there.
    Whole,
    /// The machine went down without a last [`Engine::sync`]: some late writes may be missing.
    Unsure,
    /// Nothing is there: the index is new, was wiped, or is of another format.
    Empty,
}

/// Why an engine could not. No text, no term, no id in any message.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The lease was lost to another process.
    #[error("a later lease holds this shard")]
    Fenced,
    /// The process is about to end.
    #[error("the index is closed")]
    Closed,
    /// The engine is away or its disk failed.
    #[error("the search engine failed: {0}")]
    Failed(String),
    /// Bytes of deleted documents are still on disk.
    #[error("files of deleted documents could not be removed")]
    NotExpunged,
}

/// A search engine. All calls may be repeated.
pub trait Engine: Send + Sync + 'static {
    /// The shard that holds a tenant: writes of one shard are made by one process at a time.
    fn shard(&self, tenant: TenantId) -> u16;
    /// How many shards there are.
    fn shards(&self) -> u16;
    /// Takes writes of one tenant in their order. The token is taken note of also where there is nothing to write.
    fn write(
        &self,
        token: FencingToken,
        tenant: TenantId,
        writes: Vec<Write>,
    ) -> BoxFuture<'_, Result<Written, EngineError>>;
    /// Makes everything written to the tenant's shard visible to searches.
    fn refresh(&self, tenant: TenantId) -> BoxFuture<'_, Result<(), EngineError>>;
    /// Makes everything visible survive the loss of power.
    fn sync(&self) -> BoxFuture<'_, Result<(), EngineError>>;
    /// The first hits.
    fn search(&self, tenant: TenantId, search: Search) -> BoxFuture<'_, Result<Vec<Hit>, EngineError>>;
    /// The messages that are visible: of one contact, or of the tenant. Ascending.
    fn documents(
        &self,
        tenant: TenantId,
        contact: Option<ContactId>,
    ) -> BoxFuture<'_, Result<Vec<MessageId>, EngineError>>;
    /// The first `most` of the tenant's messages that are visible and come after `after`. Ascending.
    fn documents_after(
        &self,
        tenant: TenantId,
        after: Option<MessageId>,
        most: usize,
    ) -> BoxFuture<'_, Result<Vec<MessageId>, EngineError>>;
    /// The messages of a conversation that are visible. Ascending.
    fn conversation(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> BoxFuture<'_, Result<Vec<MessageId>, EngineError>>;
    /// Refreshes a shard and removes the bytes of everything deleted in it, from every file; durable when it returns.
    fn expunge(&self, shard: u16) -> BoxFuture<'_, Result<Expunged, EngineError>>;
    /// Removes everything from a shard, to the byte: another index is the one that counts. Durable when it returns.
    fn clear(&self, shard: u16) -> BoxFuture<'_, Result<(), EngineError>>;
    /// Reads all that the tenant's shard has on disk, with writers kept out, and looks for `wanted`.
    fn scan(&self, tenant: TenantId, wanted: Wanted) -> BoxFuture<'_, Result<Scanned, EngineError>>;
}
