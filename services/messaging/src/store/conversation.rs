//! Conversations, and the units their messages are sealed under.

use lethe_ids::{ContactId, ConversationId, LabelId, MemberId, SubjectId, UnitId};
use lethe_service::TenantTx;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::month::Month;

/// How late `listed_at` may be behind the last message. A conversation's row is touched no more often than that.
pub(crate) const LISTED_WITHIN: time::Duration = time::Duration::seconds(60);
/// Clocks of processes that accept for one conversation may differ by this much.
const SKEW: time::Duration = time::Duration::seconds(30);

/// A conversation as it is stored.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct ConversationRow {
    conversation_id: Uuid,
    contact_id: Uuid,
    /// `Channel`.
    pub(crate) channel: i16,
    /// `ConversationStatus`.
    pub(crate) status: i16,
    assigned_member_id: Option<Uuid>,
    label_ids: Vec<Uuid>,
    spam: i16,
    /// The detector's, when it marked.
    pub(crate) spam_score: i16,
    /// How often it was resolved.
    pub(crate) resolutions: i32,
    /// When a member last read further.
    pub(crate) read_at: Option<OffsetDateTime>,
    /// Inbound messages came that no member has read.
    pub(crate) unread: bool,
    /// When it was opened.
    pub(crate) created_at: OffsetDateTime,
    /// When the last message came.
    pub(crate) last_message_at: Option<OffsetDateTime>,
    /// Counts changes of what a member may change: status, assignment, labels, spam.
    pub(crate) version: i64,
    /// The contact's sequence when the conversation itself last changed.
    pub(crate) seq: i64,
}

impl ConversationRow {
    /// Which conversation.
    pub(crate) fn id(&self) -> ConversationId {
        ConversationId::new(self.conversation_id)
    }
    /// With whom.
    pub(crate) fn contact(&self) -> ContactId {
        ContactId::new(self.contact_id)
    }
    /// Who takes care of it.
    pub(crate) fn assigned(&self) -> Option<MemberId> {
        self.assigned_member_id.map(MemberId::new)
    }
    /// Whether it is marked as spam.
    pub(crate) fn is_spam(&self) -> bool {
        matches!(self.spam, 1 | 2)
    }
    /// The labels it carries.
    pub(crate) fn labels(&self) -> Vec<LabelId> {
        self.label_ids.iter().copied().map(LabelId::new).collect()
    }
    /// What lists are ordered by.
    pub(crate) fn ordered_at(&self) -> OffsetDateTime {
        self.last_message_at.unwrap_or(self.created_at)
    }
}

/// What accepting a message needs to know of its conversation.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct RouteRow {
    contact_id: Uuid,
    subject_id: Uuid,
    /// `Channel`.
    pub(crate) channel: i16,
    /// How late the list knows of it.
    pub(crate) listed_at: OffsetDateTime,
    unit_id: Option<Uuid>,
}

impl RouteRow {
    /// With whom.
    pub(crate) fn contact(&self) -> ContactId {
        ContactId::new(self.contact_id)
    }
    /// Whose secret its messages are sealed under.
    pub(crate) fn subject(&self) -> SubjectId {
        SubjectId::new(self.subject_id)
    }
    /// The month's unit, if there is one yet.
    pub(crate) fn unit(&self) -> Option<UnitId> {
        self.unit_id.map(UnitId::new)
    }
}

/// A conversation to be inserted.
#[derive(Debug)]
pub(crate) struct NewConversation {
    /// Its id.
    pub(crate) conversation: ConversationId,
    /// With whom.
    pub(crate) contact: ContactId,
    /// Whose secret.
    pub(crate) subject: SubjectId,
    /// `Channel`.
    pub(crate) channel: i16,
    /// `ConversationStatus`.
    pub(crate) status: i16,
    /// The contact's sequence.
    pub(crate) seq: i64,
    /// Now.
    pub(crate) at: OffsetDateTime,
}

/// Inserts a conversation; its version is 1.
pub(crate) async fn insert(tx: &mut TenantTx, new: &NewConversation) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into conversations (tenant_id, conversation_id, contact_id, subject_id, channel, status, created_at,
                                    listed_at, version, seq)
         values ($1, $2, $3, $4, $5, $6, $7, $7, 1, $8)",
    )
    .bind(tenant.uuid())
    .bind(new.conversation.uuid())
    .bind(new.contact.uuid())
    .bind(new.subject.uuid())
    .bind(new.channel)
    .bind(new.status)
    .bind(new.at)
    .bind(new.seq)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes the unit of a conversation's month. `false` when there is one already.
pub(crate) async fn insert_unit(
    tx: &mut TenantTx,
    conversation: ConversationId,
    month: Month,
    unit: UnitId,
) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let inserted = sqlx::query(
        "insert into conversation_units (tenant_id, unit_id, conversation_id, month) values ($1, $2, $3, $4)
         on conflict (tenant_id, conversation_id, month) do nothing",
    )
    .bind(tenant.uuid())
    .bind(unit.uuid())
    .bind(conversation.uuid())
    .bind(month.first_day())
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// What accepting a message of this month needs.
pub(crate) async fn route(
    tx: &mut TenantTx,
    conversation: ConversationId,
    month: Month,
) -> sqlx::Result<Option<RouteRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select c.contact_id, c.subject_id, c.channel, c.listed_at, u.unit_id
           from conversations c
           join contact_head h on h.tenant_id = c.tenant_id and h.contact_id = c.contact_id
           left join conversation_units u
             on u.tenant_id = c.tenant_id and u.conversation_id = c.conversation_id and u.month = $3
          where c.tenant_id = $1 and c.conversation_id = $2 and not h.fenced
            and not (c.conversation_id::uuid = any (h.fenced_conversations))",
    )
    .bind(tenant.uuid())
    .bind(conversation.uuid())
    .bind(month.first_day())
    .fetch_optional(&mut **tx)
    .await
}

/// One conversation.
pub(crate) async fn find(
    tx: &mut TenantTx,
    conversation: ConversationId,
) -> sqlx::Result<Option<ConversationRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select c.conversation_id, c.contact_id, c.channel, c.status, c.assigned_member_id, c.label_ids, c.spam, c.spam_score,
                c.resolutions, c.read_at,
                exists (select from messages m
                         where m.tenant_id = c.tenant_id and m.conversation_id = c.conversation_id
                           and m.accepted_seq > c.read_seq and m.direction = 1) as unread,
                c.created_at,
                (select m.created_at from messages m
                  where m.tenant_id = c.tenant_id and m.conversation_id = c.conversation_id
                  order by m.accepted_seq desc limit 1) as last_message_at,
                c.version, c.seq
           from conversations c
           join contact_head h on h.tenant_id = c.tenant_id and h.contact_id = c.contact_id
          where c.tenant_id = $1 and c.conversation_id = $2 and not h.fenced
            and not (c.conversation_id::uuid = any (h.fenced_conversations))",
    )
    .bind(tenant.uuid())
    .bind(conversation.uuid())
    .fetch_optional(&mut **tx)
    .await
}

/// Which conversations a list shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Which {
    /// `ConversationStatus`.
    pub(crate) status: i16,
    /// Those that carry it.
    pub(crate) label: Option<LabelId>,
    /// Spam alone, or all but spam.
    pub(crate) spam: bool,
}

/// Conversations by their last message, the newest first, after the page that ended at `after`.
///
/// The index knows the last message late by at most a minute. So whoever belongs on the page is found among those
/// that the index has before `after`, down to a minute below the last that fills the page; their order is then by the
/// messages themselves.
pub(crate) async fn list(
    tx: &mut TenantTx,
    which: Which,
    after: (OffsetDateTime, Uuid),
    most: i64,
) -> sqlx::Result<Vec<ConversationRow>> {
    let tenant = tx.tenant();
    let late = LISTED_WITHIN + SKEW;
    sqlx::query_as(
        "with edge as materialized (
           select coalesce((select e.listed_at from conversations e
                              join contact_head h on h.tenant_id = e.tenant_id and h.contact_id = e.contact_id
                             where e.tenant_id = $1 and e.status = $2 and not h.fenced
                               and not (e.conversation_id::uuid = any (h.fenced_conversations))
                               and ($7::uuid is null or $7 = any (e.label_ids)) and (e.spam in (1, 2)) = $8
                               and e.listed_at <= $3::timestamptz - make_interval(secs => $6)
                             order by e.listed_at desc offset $5 limit 1), '-infinity') - make_interval(secs => $6) as at),
         near as (
           select c.*, (select m.created_at from messages m
                         where m.tenant_id = c.tenant_id and m.conversation_id = c.conversation_id
                         order by m.accepted_seq desc limit 1) as last_message_at
             from conversations c
            where c.tenant_id = $1 and c.status = $2 and ($7::uuid is null or $7 = any (c.label_ids))
              and (c.spam in (1, 2)) = $8
              and c.listed_at <= $3::timestamptz + make_interval(secs => $6) and c.listed_at >= (select at from edge))
         select n.conversation_id, n.contact_id, n.channel, n.status, n.assigned_member_id, n.label_ids, n.spam, n.spam_score,
                n.resolutions, n.read_at,
                exists (select from messages m
                         where m.tenant_id = n.tenant_id and m.conversation_id = n.conversation_id
                           and m.accepted_seq > n.read_seq and m.direction = 1) as unread,
                n.created_at,
                n.last_message_at, n.version, n.seq
           from near n
           join contact_head h on h.tenant_id = n.tenant_id and h.contact_id = n.contact_id
          where not h.fenced and not (n.conversation_id::uuid = any (h.fenced_conversations))
            and (coalesce(n.last_message_at, n.created_at), n.conversation_id::uuid) < ($3, $4)
          order by coalesce(n.last_message_at, n.created_at) desc, n.conversation_id desc
          limit $5",
    )
    .bind(tenant.uuid())
    .bind(which.status)
    .bind(after.0)
    .bind(after.1)
    .bind(most)
    .bind(late.as_seconds_f64())
    .bind(which.label.map(LabelId::uuid))
    .bind(which.spam)
    .fetch_all(&mut **tx)
    .await
}

/// The same of one contact: it has few, so all are looked at.
pub(crate) async fn list_of_contact(
    tx: &mut TenantTx,
    contact: ContactId,
    (statuses, label, spam): (&[i16], Option<LabelId>, bool),
    after: (OffsetDateTime, Uuid),
    most: i64,
) -> sqlx::Result<Vec<ConversationRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select n.conversation_id, n.contact_id, n.channel, n.status, n.assigned_member_id, n.label_ids, n.spam, n.spam_score,
                n.resolutions, n.read_at,
                exists (select from messages m
                         where m.tenant_id = n.tenant_id and m.conversation_id = n.conversation_id
                           and m.accepted_seq > n.read_seq and m.direction = 1) as unread,
                n.created_at,
                n.last_message_at, n.version, n.seq
           from (select c.*, (select m.created_at from messages m
                               where m.tenant_id = c.tenant_id and m.conversation_id = c.conversation_id
                               order by m.accepted_seq desc limit 1) as last_message_at
                   from conversations c
                  where c.tenant_id = $1 and c.contact_id = $2 and c.status = any ($3)
                    and ($7::uuid is null or $7 = any (c.label_ids)) and (c.spam in (1, 2)) = $8) n
           join contact_head h on h.tenant_id = n.tenant_id and h.contact_id = n.contact_id
          where not h.fenced and not (n.conversation_id::uuid = any (h.fenced_conversations))
            and (coalesce(n.last_message_at, n.created_at), n.conversation_id::uuid) < ($4, $5)
          order by coalesce(n.last_message_at, n.created_at) desc, n.conversation_id desc
          limit $6",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .bind(statuses)
    .bind(after.0)
    .bind(after.1)
    .bind(most)
    .bind(label.map(LabelId::uuid))
    .bind(spam)
    .fetch_all(&mut **tx)
    .await
}

/// What a member sets of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `ConversationStatus`.
    pub(crate) status: i16,
    /// Who takes care of it.
    pub(crate) assigned: Option<MemberId>,
    /// The labels it carries.
    pub(crate) labels: Vec<LabelId>,
}

/// Writes what a member sets. The caller holds the lock of the head and has compared the version.
pub(crate) async fn update(
    tx: &mut TenantTx,
    conversation: ConversationId,
    settings: &Settings,
    seq: i64,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update conversations
            set resolutions = resolutions + case when $3 = 2 and status <> 2 then 1 else 0 end,
                status = $3, assigned_member_id = $4, label_ids = $5, version = version + 1, seq = $6
          where tenant_id = $1 and conversation_id = $2",
    )
    .bind(tenant.uuid())
    .bind(conversation.uuid())
    .bind(settings.status)
    .bind(settings.assigned.map(MemberId::uuid))
    .bind(settings.labels.iter().map(|label| label.uuid()).collect::<Vec<_>>())
    .bind(seq)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
