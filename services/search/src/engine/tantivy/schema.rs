//! The fields of a document: its keys, its words, and the columns that a hit and a version are made of. Nothing is
//! stored.
//!
//! All keys share one field, since each field's dictionary costs at every commit. A key begins with what it is of and
//! with the tenant, so that no id of another tenant matches.

use lethe_ids::{MessageId, TenantId};
use tantivy::{
    Term,
    schema::{
        BytesOptions, Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
    },
};
use uuid::Uuid;

/// Names of the columns.
pub(super) const AT: &str = "at";
pub(super) const ID_HIGH: &str = "id_high";
pub(super) const ID_LOW: &str = "id_low";
pub(super) const INCARNATION: &str = "incarnation";
pub(super) const SEQ: &str = "seq";
pub(super) const MEMBERS: &str = "members";
pub(super) const LENGTH: &str = "length";

/// The fields.
#[derive(Clone, Copy)]
pub(super) struct Fields {
    pub(super) keys: Field,
    pub(super) text: Field,
    pub(super) at: Field,
    pub(super) id_high: Field,
    pub(super) id_low: Field,
    pub(super) incarnation: Field,
    pub(super) seq: Field,
    /// A digest of author and assignee: what may change without a new version.
    pub(super) members: Field,
    /// Characters of the text. Counts for relevance; the number of terms would count stems.
    pub(super) length: Field,
}

/// The schema, and its fields.
pub(super) fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let column = || NumericOptions::default().set_fast();
    let text = TextOptions::default().set_indexing_options(
        TextFieldIndexing::default()
            .set_tokenizer(super::words::WORDS)
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions),
    );
    let fields = Fields {
        keys: builder.add_bytes_field("keys", BytesOptions::default().set_indexed()),
        text: builder.add_text_field("text", text),
        at: builder.add_i64_field(AT, column()),
        id_high: builder.add_u64_field(ID_HIGH, column()),
        id_low: builder.add_u64_field(ID_LOW, column()),
        incarnation: builder.add_u64_field(INCARNATION, column()),
        seq: builder.add_u64_field(SEQ, column()),
        members: builder.add_u64_field(MEMBERS, column()),
        length: builder.add_u64_field(LENGTH, column()),
    };
    (builder.build(), fields)
}

/// What a document is found by beside its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Tenant,
    Message(Uuid),
    Contact(Uuid),
    Conversation(Uuid),
    /// Its author or assignee.
    Member(Uuid),
    Channel(i32),
}

impl Key {
    /// Kind (1 byte), tenant (16), id (16, or 4 of a channel).
    pub(super) fn bytes(self, tenant: TenantId) -> Vec<u8> {
        let (kind, id) = match &self {
            Self::Tenant => (b't', Vec::new()),
            Self::Message(id) => (b'm', id.as_bytes().to_vec()),
            Self::Contact(id) => (b'c', id.as_bytes().to_vec()),
            Self::Conversation(id) => (b'v', id.as_bytes().to_vec()),
            Self::Member(id) => (b'a', id.as_bytes().to_vec()),
            Self::Channel(number) => (b'h', number.to_be_bytes().to_vec()),
        };
        [&[kind], tenant.uuid().as_bytes().as_slice(), &id].concat()
    }

    pub(super) fn term(self, fields: &Fields, tenant: TenantId) -> Term {
        Term::from_field_bytes(fields.keys, &self.bytes(tenant))
    }
}

/// A message id as its two columns.
pub(super) fn halves(message: MessageId) -> (u64, u64) {
    message.uuid().as_u64_pair()
}

/// The message id of two columns.
pub(super) fn whole(high: u64, low: u64) -> MessageId {
    MessageId::new(Uuid::from_u64_pair(high, low))
}
