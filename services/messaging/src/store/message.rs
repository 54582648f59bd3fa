//! Messages: the one function that accepts them, reading them, and the change of a single one.

use lethe_ids::{ContactId, ConversationId, MemberId, MessageId, TenantId};
use lethe_proto::messaging::{DeliveryState, Direction};
use lethe_service::TenantTx;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::idempotency::Once;

/// A message as it is stored, with what its conversation and head say.
#[derive(Debug, FromRow)]
pub(crate) struct MessageRow {
    message_id: Uuid,
    conversation_id: Uuid,
    contact_id: Uuid,
    /// `Channel`.
    pub(crate) channel: i16,
    /// `Direction`.
    pub(crate) direction: i16,
    member_id: Option<Uuid>,
    assigned_member_id: Option<Uuid>,
    /// When it was accepted.
    pub(crate) created_at: OffsetDateTime,
    /// When it was last edited.
    pub(crate) edited_at: Option<OffsetDateTime>,
    /// When it was deleted.
    pub(crate) deleted_at: Option<OffsetDateTime>,
    /// Counts edits; the seal version of the text.
    pub(crate) version: i32,
    /// The contact's sequence when it was accepted: the order of the conversation.
    pub(crate) accepted_seq: i64,
    /// The contact's sequence when it last changed.
    pub(crate) seq: i64,
    /// Sealed.
    pub(crate) text: Option<Vec<u8>>,
    delivery: Option<i16>,
    /// When the provider had it.
    pub(crate) sent_at: Option<OffsetDateTime>,
    /// When it was delivered.
    pub(crate) delivered_at: Option<OffsetDateTime>,
    /// When the contact read it.
    pub(crate) read_at: Option<OffsetDateTime>,
    /// When it failed.
    pub(crate) failed_at: Option<OffsetDateTime>,
    /// Why: a code.
    pub(crate) failure: Option<String>,
    /// The ground of the contact's restriction; 0 is none.
    pub(crate) restriction: i16,
    spam: i16,
}

impl MessageRow {
    /// Which message.
    pub(crate) fn id(&self) -> MessageId {
        MessageId::new(self.message_id)
    }
    /// Where it was said.
    pub(crate) fn conversation(&self) -> ConversationId {
        ConversationId::new(self.conversation_id)
    }
    /// By or to whom.
    pub(crate) fn contact(&self) -> ContactId {
        ContactId::new(self.contact_id)
    }
    /// Who wrote an outbound one.
    pub(crate) fn member(&self) -> Option<MemberId> {
        self.member_id.map(MemberId::new)
    }
    /// Who takes care of the conversation.
    pub(crate) fn assigned(&self) -> Option<MemberId> {
        self.assigned_member_id.map(MemberId::new)
    }
    /// How far it has come; of an inbound one there is nothing to say.
    pub(crate) fn delivery_state(&self) -> DeliveryState {
        match self.delivery {
            _ if self.direction != Direction::Outbound as i16 => DeliveryState::Unspecified,
            None => DeliveryState::Queued,
            Some(state) => DeliveryState::try_from(i32::from(state)).unwrap_or_default(),
        }
    }
    /// Whether its conversation is marked as spam.
    pub(crate) fn is_spam(&self) -> bool {
        matches!(self.spam, 1 | 2)
    }
    /// Whether the index may have it.
    pub(crate) fn is_searchable(&self) -> bool {
        self.deleted_at.is_none() && self.restriction == 0
    }
}

/// A message that waits to be accepted.
#[derive(Debug)]
pub(crate) struct Item {
    /// Whose.
    pub(crate) tenant: TenantId,
    /// By or to whom.
    pub(crate) contact: ContactId,
    /// Where.
    pub(crate) conversation: ConversationId,
    /// Its id.
    pub(crate) message: MessageId,
    /// To the contact.
    pub(crate) outbound: bool,
    /// Who wrote an outbound one.
    pub(crate) member: Option<MemberId>,
    /// Now.
    pub(crate) at: OffsetDateTime,
    /// The request's key and body, if it may come again.
    pub(crate) once: Option<Once>,
    /// Sealed, seal version 1.
    pub(crate) text: Vec<u8>,
    /// `MessageChanged`, without its version.
    pub(crate) event: Vec<u8>,
    /// The W3C traceparent of the request.
    pub(crate) trace: Option<String>,
    /// The conversation's `listed_at` is to be brought up to now.
    pub(crate) touch: bool,
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is stored; the contact's sequence after it.
    Accepted(i64),
    /// Its key came before and made this message.
    Replayed(MessageId),
    /// Its key came before with another body.
    KeyReused,
    /// Its key came before, and what it made is erased.
    Gone,
    /// There is no such contact, or it is fenced.
    NotFound,
    /// Outbound to a contact who opted out.
    OptedOut,
    /// Outbound to a contact under restriction.
    Restricted,
    /// Inbound from a contact who is banned.
    Banned,
}

#[derive(FromRow)]
struct OutcomeRow {
    outcome: i16,
    seq: Option<i64>,
    resource: Option<Uuid>,
}

impl TryFrom<OutcomeRow> for Outcome {
    type Error = sqlx::Error;
    fn try_from(row: OutcomeRow) -> sqlx::Result<Self> {
        Ok(match (row.outcome, row.seq, row.resource) {
            (0, Some(seq), _) => Self::Accepted(seq),
            (1, _, Some(message)) => Self::Replayed(MessageId::new(message)),
            (2, ..) => Self::KeyReused,
            (3, ..) => Self::Gone,
            (4, ..) => Self::NotFound,
            (5, ..) => Self::OptedOut,
            (6, ..) => Self::Restricted,
            (7, ..) => Self::Banned,
            _ => return Err(sqlx::Error::Protocol("accept_messages_v3 answered what it cannot".into())),
        })
    }
}

/// Accepts all items, sorted by tenant and contact, in one call; their outcomes in the same order. Runs in a
/// transaction of its own, or in the one that `connection` has begun. The tenant is set inside.
pub(crate) async fn accept(connection: &mut PgConnection, items: &[&Item]) -> sqlx::Result<Vec<Outcome>> {
    let mut columns = Columns::with_capacity(items.len());
    for item in items {
        columns.push(item);
    }
    let rows: Vec<OutcomeRow> = sqlx::query_as(
        "select outcome, seq, resource
           from accept_messages_v3($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(columns.tenants)
    .bind(columns.contacts)
    .bind(columns.conversations)
    .bind(columns.messages)
    .bind(columns.outbound)
    .bind(columns.members)
    .bind(columns.times)
    .bind(columns.key_macs)
    .bind(columns.body_macs)
    .bind(columns.texts)
    .bind(columns.events)
    .bind(columns.traces)
    .bind(columns.touches)
    .fetch_all(connection)
    .await?;
    if rows.len() != items.len() {
        return Err(sqlx::Error::Protocol("accept_messages_v3 answered for another number of items".into()));
    }
    rows.into_iter().map(Outcome::try_from).collect()
}

/// The items by column, as the function takes them.
struct Columns<'a> {
    tenants: Vec<Uuid>,
    contacts: Vec<Uuid>,
    conversations: Vec<Uuid>,
    messages: Vec<Uuid>,
    outbound: Vec<bool>,
    members: Vec<Option<Uuid>>,
    times: Vec<OffsetDateTime>,
    key_macs: Vec<Option<Uuid>>,
    body_macs: Vec<Option<Uuid>>,
    texts: Vec<&'a [u8]>,
    events: Vec<&'a [u8]>,
    traces: Vec<Option<&'a str>>,
    touches: Vec<bool>,
}

impl<'a> Columns<'a> {
    fn with_capacity(n: usize) -> Self {
        Self {
            tenants: Vec::with_capacity(n),
            contacts: Vec::with_capacity(n),
            conversations: Vec::with_capacity(n),
            messages: Vec::with_capacity(n),
            outbound: Vec::with_capacity(n),
            members: Vec::with_capacity(n),
            times: Vec::with_capacity(n),
            key_macs: Vec::with_capacity(n),
            body_macs: Vec::with_capacity(n),
            texts: Vec::with_capacity(n),
            events: Vec::with_capacity(n),
            traces: Vec::with_capacity(n),
            touches: Vec::with_capacity(n),
        }
    }

    fn push(&mut self, item: &'a Item) {
        self.tenants.push(item.tenant.uuid());
        self.contacts.push(item.contact.uuid());
        self.conversations.push(item.conversation.uuid());
        self.messages.push(item.message.uuid());
        self.outbound.push(item.outbound);
        self.members.push(item.member.map(MemberId::uuid));
        self.times.push(item.at);
        self.key_macs.push(item.once.map(|once| once.key_mac));
        self.body_macs.push(item.once.map(|once| once.body_mac));
        self.texts.push(&item.text);
        self.events.push(&item.event);
        self.traces.push(item.trace.as_deref());
        self.touches.push(item.touch);
    }
}

/// The messages of the tenant `$1` for which `$condition` is so, out of `$from`; what is fenced is not there.
macro_rules! columns {
    ($condition:literal) => {
        columns!(
            "messages m
               join conversations c on c.tenant_id = m.tenant_id and c.conversation_id = m.conversation_id
               join contact_head h on h.tenant_id = c.tenant_id and h.contact_id = c.contact_id",
            $condition
        )
    };
    ($from:literal, $condition:literal) => {
        concat!(
            "select m.message_id, m.conversation_id, c.contact_id, c.channel, m.direction, m.member_id,
                    c.assigned_member_id, m.created_at, m.edited_at, m.deleted_at, m.version, m.accepted_seq, m.seq,
                    m.text, m.delivery, m.sent_at, m.delivered_at,
                    m.read_at, m.failed_at, m.failure, h.restriction, c.spam
               from ",
            $from,
            " where m.tenant_id = $1 and not h.fenced and not (c.conversation_id::uuid = any (h.fenced_conversations))
                and ",
            $condition
        )
    };
}

/// SQL that reads the messages `$2` of the tenant `$1`. Each is looked up by its key, its conversation and its head behind it:
/// of many ids in one condition PostgreSQL expects most of a table that it has no statistics of yet, and reads all of it.
pub const NAMED_MESSAGES: &str = columns!(
    "unnest($2::uuid[]) as named (id)
       cross join lateral (select * from messages where tenant_id = $1 and message_id = named.id offset 0) m
       cross join lateral (select * from conversations
                            where tenant_id = $1 and conversation_id = m.conversation_id offset 0) c
       cross join lateral (select * from contact_head where tenant_id = $1 and contact_id = c.contact_id offset 0) h",
    "true"
);

/// These messages, in no order, one that is named twice two times; what is fenced is not there.
pub(crate) async fn find_all(tx: &mut TenantTx, messages: &[MessageId]) -> sqlx::Result<Vec<MessageRow>> {
    let tenant = tx.tenant();
    let ids: Vec<Uuid> = messages.iter().map(|message| message.uuid()).collect();
    sqlx::query_as(NAMED_MESSAGES).bind(tenant.uuid()).bind(ids).fetch_all(&mut **tx).await
}

/// One message.
pub(crate) async fn find(tx: &mut TenantTx, message: MessageId) -> sqlx::Result<Option<MessageRow>> {
    Ok(find_all(tx, &[message]).await?.pop())
}

/// Messages of a conversation accepted after the sequence `after`, the oldest first.
pub(crate) async fn list(
    tx: &mut TenantTx,
    conversation: ConversationId,
    after: i64,
    most: i64,
) -> sqlx::Result<Vec<MessageRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(columns!(
        "m.conversation_id = $2 and m.accepted_seq > $3 order by m.accepted_seq limit $4"
    ))
    .bind(tenant.uuid())
    .bind(conversation.uuid())
    .bind(after)
    .bind(most)
    .fetch_all(&mut **tx)
    .await
}

/// SQL that reads at most `$5` messages of the contact `$2` for the index, by conversation and sequence, after (`$3`, `$4`).
/// Conversation by conversation: else PostgreSQL may go through the tenant's messages in that order, looking for one of it.
pub const CONTACTS_MESSAGES: &str = columns!(
    "conversations c
       join contact_head h on h.tenant_id = c.tenant_id and h.contact_id = c.contact_id
       cross join lateral (select * from messages
                            where tenant_id = $1 and conversation_id = c.conversation_id
                              and accepted_seq > case when c.conversation_id = $3 then $4 else 0 end
                            order by accepted_seq limit $5) m",
    "c.tenant_id = $1 and c.contact_id = $2 and h.restriction = 0 and c.conversation_id >= $3
      order by m.conversation_id, m.accepted_seq limit $5"
);

/// Messages of a contact for the index, by conversation and sequence, after (conversation, sequence).
pub(crate) async fn list_of_contact(
    tx: &mut TenantTx,
    contact: ContactId,
    after: (Uuid, i64),
    most: i64,
) -> sqlx::Result<Vec<MessageRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(CONTACTS_MESSAGES)
        .bind(tenant.uuid())
        .bind(contact.uuid())
        .bind(after.0)
        .bind(after.1)
        .bind(most)
        .fetch_all(&mut **tx)
        .await
}

/// Messages of the tenant for the index, by id, after `after`. What is not to be indexed is among them.
pub(crate) async fn list_of_tenant(
    tx: &mut TenantTx,
    after: Uuid,
    most: i64,
) -> sqlx::Result<Vec<MessageRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(columns!("m.message_id > $2 order by m.message_id limit $3"))
        .bind(tenant.uuid())
        .bind(after)
        .bind(most)
        .fetch_all(&mut **tx)
        .await
}

/// A message's version, and when it was deleted. The caller holds the lock of the head.
pub(crate) async fn state(
    tx: &mut TenantTx,
    message: MessageId,
) -> sqlx::Result<Option<(i32, Option<OffsetDateTime>)>> {
    let tenant = tx.tenant();
    sqlx::query_as("select version, deleted_at from messages where tenant_id = $1 and message_id = $2")
        .bind(tenant.uuid())
        .bind(message.uuid())
        .fetch_optional(&mut **tx)
        .await
}

/// Writes another text. The caller holds the lock of the head and has compared the version.
pub(crate) async fn edit(
    tx: &mut TenantTx,
    message: MessageId,
    (text, version): (&[u8], i32),
    seq: i64,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update messages set text = $3, version = $4, seq = $5, edited_at = $6
          where tenant_id = $1 and message_id = $2",
    )
    .bind(tenant.uuid())
    .bind(message.uuid())
    .bind(text)
    .bind(version)
    .bind(seq)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes the text away. The caller holds the lock of the head.
pub(crate) async fn delete(
    tx: &mut TenantTx,
    message: MessageId,
    seq: i64,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update messages set text = null, version = version + 1, seq = $3, deleted_at = $4
          where tenant_id = $1 and message_id = $2",
    )
    .bind(tenant.uuid())
    .bind(message.uuid())
    .bind(seq)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
