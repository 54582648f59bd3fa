//! What an erasure reaches: the rows of a person or a part of one, and the ids under which its things are sealed and said.

use lethe_ids::{ContactId, ConversationId, SubjectId, UnitId};
use lethe_service::TenantTx;
use uuid::Uuid;

use super::fence::{ids, uuids};

/// What the catalogue is asked for: whose rows a census lists.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whose<'a> {
    /// A person's, with its conversations.
    Everything(&'a [ContactId]),
    /// A person's, without what belongs to conversations.
    ContactOnly(&'a [ContactId]),
    /// Of conversations of a person who lives on.
    Part(&'a [ContactId], &'a [ConversationId]),
}

impl Whose<'_> {
    /// What the statements take: the ids of the person, conversations, whether they are kept, the ids whose requests are
    /// looked at.
    fn columns(self) -> (Vec<Uuid>, Vec<Uuid>, bool, Vec<Uuid>) {
        match self {
            Self::Everything(contacts) => (ids(contacts), Vec::new(), false, Vec::new()),
            Self::ContactOnly(contacts) => (ids(contacts), Vec::new(), true, Vec::new()),
            Self::Part(contacts, conversations) => (Vec::new(), uuids(conversations), false, ids(contacts)),
        }
    }
}

/// Every row by the catalogue: tables and their ids, sorted. Of a part, the requests too that made what is in it.
pub(crate) async fn rows_of(tx: &mut TenantTx, whose: Whose<'_>) -> sqlx::Result<Vec<(String, Vec<Uuid>)>> {
    let tenant = tx.tenant();
    let (contacts, conversations, keeps, asking) = whose.columns();
    sqlx::query_as(
        "select kind, array_agg(row_id order by row_id) from (
           select kind, row_id from census_v3($1, $2,
             case when $2 = '{}'::uuid[] or $4 then $3
                  else array (select c.conversation_id::uuid from conversations c
                               where c.tenant_id = $1 and c.contact_id = any ($2))
             end, $4)
           union all
           select 'idempotency', i.key_mac from idempotency i
            where i.tenant_id = $1 and i.contact_id = any ($5)
              and (i.resource_id = any ($3) or exists (select from messages m where m.tenant_id = $1
                     and m.message_id = i.resource_id and m.conversation_id::uuid = any ($3))
                   or exists (select from ratings r where r.tenant_id = $1
                     and r.rating_id = i.resource_id and r.conversation_id::uuid = any ($3)))
         ) as rows group by kind order by kind",
    )
    .bind(tenant.uuid())
    .bind(contacts)
    .bind(conversations)
    .bind(keeps)
    .bind(asking)
    .fetch_all(&mut **tx)
    .await
}

/// The ids under which a contact's things are sealed and said.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// Its subjects.
    pub(crate) subjects: Vec<SubjectId>,
    /// The units of its profile and its conversations.
    pub(crate) units: Vec<UnitId>,
    /// Its conversations.
    pub(crate) conversations: Vec<ConversationId>,
}

impl Reach {
    fn read(rows: Vec<(i16, Uuid)>) -> Self {
        let mut reach = Self::default();
        for (kind, id) in rows {
            match kind {
                1 => reach.subjects.push(SubjectId::new(id)),
                2 => reach.units.push(UnitId::new(id)),
                _ => reach.conversations.push(ConversationId::new(id)),
            }
        }
        reach
    }
}

/// What a person with these ids reaches, without the conversations `but`, which are held.
pub(crate) async fn of(
    tx: &mut TenantTx,
    contacts: &[ContactId],
    but: &[ConversationId],
) -> sqlx::Result<Reach> {
    let tenant = tx.tenant();
    let rows: Vec<(i16, Uuid)> = sqlx::query_as(
        "select 1::smallint, subject_id::uuid from contact_subjects where tenant_id = $1 and contact_id = any ($2)
         union
         select 1::smallint, subject_id::uuid from contacts where tenant_id = $1 and contact_id = any ($2)
         union
         select 2::smallint, unit_id from contacts where tenant_id = $1 and contact_id = any ($2)
         union
         select 2::smallint, unit_id from merged_contacts where tenant_id = $1 and contact_id = any ($2)
         union
         select 2::smallint, u.unit_id from conversation_units u
           join conversations c on c.tenant_id = u.tenant_id and c.conversation_id = u.conversation_id
          where c.tenant_id = $1 and c.contact_id = any ($2) and not (c.conversation_id::uuid = any ($3))
         union
         select 3::smallint, conversation_id::uuid from conversations
          where tenant_id = $1 and contact_id = any ($2) and not (conversation_id::uuid = any ($3))
         order by 1, 2",
    )
    .bind(tenant.uuid())
    .bind(ids(contacts))
    .bind(uuids(but))
    .fetch_all(&mut **tx)
    .await?;
    Ok(Reach::read(rows))
}

/// What conversations reach: their units, not the secret of the person.
pub(crate) async fn of_part(tx: &mut TenantTx, conversations: &[ConversationId]) -> sqlx::Result<Reach> {
    let tenant = tx.tenant();
    let rows: Vec<(i16, Uuid)> = sqlx::query_as(
        "select 2::smallint, unit_id from conversation_units
          where tenant_id = $1 and conversation_id::uuid = any ($2)
         union
         select 3::smallint, conversation_id::uuid from conversations
          where tenant_id = $1 and conversation_id::uuid = any ($2)
         order by 1, 2",
    )
    .bind(tenant.uuid())
    .bind(uuids(conversations))
    .fetch_all(&mut **tx)
    .await?;
    Ok(Reach::read(rows))
}

/// The messages with a text in these conversations.
pub(crate) async fn texts_of(tx: &mut TenantTx, conversations: &[ConversationId]) -> sqlx::Result<Vec<Uuid>> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "select message_id from messages
          where tenant_id = $1 and conversation_id::uuid = any ($2) and text is not null order by 1",
    )
    .bind(tenant.uuid())
    .bind(uuids(conversations))
    .fetch_all(&mut **tx)
    .await
}
