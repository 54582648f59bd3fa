//! The fields of a document. Ids are terms that begin with the tenant, so that no id of another tenant matches; the
//! columns hold what a hit and a version are made of. Nothing is stored.

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

/// The fields.
#[derive(Clone, Copy)]
pub(super) struct Fields {
    pub(super) tenant: Field,
    pub(super) message: Field,
    pub(super) contact: Field,
    pub(super) conversation: Field,
    pub(super) member: Field,
    pub(super) channel: Field,
    pub(super) at: Field,
    pub(super) id_high: Field,
    pub(super) id_low: Field,
    pub(super) incarnation: Field,
    pub(super) seq: Field,
    /// A digest of author and assignee: what may change without a new version.
    pub(super) members: Field,
    pub(super) text: Field,
}

pub(super) fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let term = BytesOptions::default().set_indexed();
    let column = || NumericOptions::default().set_fast();
    let text = TextOptions::default().set_indexing_options(
        TextFieldIndexing::default()
            .set_tokenizer("raw")
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions),
    );
    let fields = Fields {
        tenant: builder.add_bytes_field("tenant", term.clone()),
        message: builder.add_bytes_field("message", term.clone()),
        contact: builder.add_bytes_field("contact", term.clone()),
        conversation: builder.add_bytes_field("conversation", term.clone()),
        member: builder.add_bytes_field("member", term.clone()),
        channel: builder.add_bytes_field("channel", term),
        at: builder.add_i64_field(AT, column()),
        id_high: builder.add_u64_field(ID_HIGH, column()),
        id_low: builder.add_u64_field(ID_LOW, column()),
        incarnation: builder.add_u64_field(INCARNATION, column()),
        seq: builder.add_u64_field(SEQ, column()),
        members: builder.add_u64_field(MEMBERS, column()),
        text: builder.add_text_field("text", text),
    };
    (builder.build(), fields)
}

/// The key of something within a tenant: 16 bytes of the tenant, 16 of the thing.
pub(super) fn key(tenant: TenantId, id: Uuid) -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(tenant.uuid().as_bytes());
    key[16..].copy_from_slice(id.as_bytes());
    key
}

/// The term of something within a tenant.
pub(super) fn key_term(field: Field, tenant: TenantId, id: Uuid) -> Term {
    Term::from_field_bytes(field, &key(tenant, id))
}

/// The term that all documents of a tenant have.
pub(super) fn tenant_term(fields: &Fields, tenant: TenantId) -> Term {
    Term::from_field_bytes(fields.tenant, tenant.uuid().as_bytes())
}

/// A message id as its two columns.
pub(super) fn halves(message: MessageId) -> (u64, u64) {
    message.uuid().as_u64_pair()
}

/// The message id of two columns.
pub(super) fn whole(high: u64, low: u64) -> MessageId {
    MessageId::new(Uuid::from_u64_pair(high, low))
}
