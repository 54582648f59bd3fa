//! Moving conversations to another subject: what is sealed in them under the old secret, and the change of hands.

use lethe_ids::{ContactId, ConversationId, SubjectId, UnitId};
use lethe_keyring::Purpose;
use lethe_service::TenantTx;
use uuid::Uuid;

/// What is sealed in the rows of a conversation, one entry a table: a test compares them with the catalogue.
#[derive(Debug)]
pub struct Resealed {
    /// The table.
    pub table: &'static str,
    /// Its sealed column.
    pub column: &'static str,
    /// What it is sealed for.
    pub(crate) purpose: Purpose,
    /// At most `$4` (id, sealed) of the conversation `$2` after the id `$3`, in the tenant `$1`.
    read: &'static str,
    /// In the tenant `$1`, of the rows `$2`, turns the values `$3` into `$4`, and leaves what is another one meanwhile as it
    /// is. Answers of each whether it has none now.
    write: &'static str,
    /// How many in the tenant `$1`, of the conversations `$2`, are sealed under one of the subjects `$3`, by their headers
    /// (`lethe_keyring::header`).
    left: &'static str,
    /// The rows carry their contact's sequence: `$5`, where they are another contact's.
    is_ordered: bool,
}

/// All of them.
pub const RESEALED: &[Resealed] = &[
    Resealed {
        table: "messages",
        column: "text",
        purpose: Purpose::MessageText,
        read: "select message_id, text from messages
            where tenant_id = $1 and conversation_id = $2 and message_id > $3 and text is not null
            order by message_id limit $4",
        write: "update messages m set text = anew.text, seq = coalesce($5, m.seq)
              from unnest($2::uuid[], $3::bytea[], $4::bytea[]) as anew (message_id, old, text)
             where m.tenant_id = $1 and m.message_id = anew.message_id and m.text = anew.old
            returning m.text is null",
        left: "select count(*) from messages
            where tenant_id = $1 and conversation_id = any ($2) and substring(text from 12 for 16) = any ($3)",
        is_ordered: true,
    },
    Resealed {
        table: "ratings",
        column: "comment",
        purpose: Purpose::RatingComment,
        read: "select rating_id, comment from ratings
            where tenant_id = $1 and conversation_id = $2 and rating_id > $3 and comment is not null
            order by rating_id limit $4",
        write: "update ratings r set comment = anew.comment
              from unnest($2::uuid[], $3::bytea[], $4::bytea[]) as anew (rating_id, old, comment)
             where r.tenant_id = $1 and r.rating_id = anew.rating_id and r.comment = anew.old
            returning r.comment is null",
        left: "select count(*) from ratings
            where tenant_id = $1 and conversation_id = any ($2) and substring(comment from 12 for 16) = any ($3)",
        is_ordered: false,
    },
];

/// A page of what is sealed.
pub(crate) async fn read(
    tx: &mut TenantTx,
    table: &Resealed,
    conversation: ConversationId,
    after: Uuid,
    most: i64,
) -> sqlx::Result<Vec<(Uuid, Vec<u8>)>> {
    let tenant = tx.tenant();
    sqlx::query_as(table.read)
        .bind(tenant.uuid())
        .bind(conversation.uuid())
        .bind(after)
        .bind(most)
        .fetch_all(&mut **tx)
        .await
}

/// A page as it is to be: ids, the values that were read, and those that follow them; none follows what does not open.
#[derive(Debug, Default)]
pub(crate) struct Anew {
    pub(crate) ids: Vec<Uuid>,
    pub(crate) old: Vec<Vec<u8>>,
    pub(crate) new: Vec<Option<Vec<u8>>>,
}

/// Writes it. Answers how many values were erased, because they did not open.
pub(crate) async fn write(
    tx: &mut TenantTx,
    table: &Resealed,
    anew: &Anew,
    seq: Option<i64>,
) -> sqlx::Result<u64> {
    let tenant = tx.tenant();
    let mut query =
        sqlx::query_scalar(table.write).bind(tenant.uuid()).bind(&anew.ids).bind(&anew.old).bind(&anew.new);
    if table.is_ordered {
        query = query.bind(seq);
    }
    let is_erased: Vec<bool> = query.fetch_all(&mut **tx).await?;
    Ok(is_erased.into_iter().filter(|is_erased| *is_erased).count() as u64)
}

/// The units of a conversation, each with the one that follows it, if that is made.
pub(crate) async fn units(
    tx: &mut TenantTx,
    conversation: ConversationId,
) -> sqlx::Result<Vec<(UnitId, Option<UnitId>)>> {
    let tenant = tx.tenant();
    let rows: Vec<(Uuid, Option<Uuid>)> = sqlx::query_as(
        "select unit_id, next_unit_id from conversation_units
          where tenant_id = $1 and conversation_id = $2 order by unit_id",
    )
    .bind(tenant.uuid())
    .bind(conversation.uuid())
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|(unit, next)| (UnitId::new(unit), next.map(UnitId::new))).collect())
}

/// Notes the unit that follows another; the first note counts, and is answered.
pub(crate) async fn note_next(tx: &mut TenantTx, unit: UnitId, next: UnitId) -> sqlx::Result<UnitId> {
    let tenant = tx.tenant();
    let kept: Uuid = sqlx::query_scalar(
        "update conversation_units set next_unit_id = coalesce(next_unit_id, $3)
          where tenant_id = $1 and unit_id = $2 returning next_unit_id",
    )
    .bind(tenant.uuid())
    .bind(unit.uuid())
    .bind(next.uuid())
    .fetch_one(&mut **tx)
    .await?;
    Ok(UnitId::new(kept))
}

/// The subject whose secret a conversation is sealed under.
pub(crate) async fn subject_of(
    tx: &mut TenantTx,
    conversation: ConversationId,
) -> sqlx::Result<Option<SubjectId>> {
    let tenant = tx.tenant();
    let id: Option<Uuid> = sqlx::query_scalar(
        "select subject_id::uuid from conversations where tenant_id = $1 and conversation_id = $2",
    )
    .bind(tenant.uuid())
    .bind(conversation.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    Ok(id.map(SubjectId::new))
}

/// Hands a conversation over, all of which is sealed anew: to another subject, and to another contact, where it is resolved.
pub(crate) async fn hand_over(
    tx: &mut TenantTx,
    conversation: ConversationId,
    to: SubjectId,
    heir: Option<(ContactId, i64)>,
    resolved: i16,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update conversation_units set unit_id = next_unit_id, next_unit_id = null
          where tenant_id = $1 and conversation_id = $2 and next_unit_id is not null",
    )
    .bind(tenant.uuid())
    .bind(conversation.uuid())
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "update conversations set subject_id = $3, contact_id = coalesce($4, contact_id), version = version + 1,
                seq = coalesce($5, seq), status = case when $4::uuid is null then status else $6 end
          where tenant_id = $1 and conversation_id = $2 and subject_id <> $3",
    )
    .bind(tenant.uuid())
    .bind(conversation.uuid())
    .bind(to.uuid())
    .bind(heir.map(|(contact, _)| contact.uuid()))
    .bind(heir.map(|(_, seq)| seq))
    .bind(resolved)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How many values in these conversations are still sealed under one of the subjects' secrets.
pub(crate) async fn left_under(
    tx: &mut TenantTx,
    conversations: &[ConversationId],
    subjects: &[SubjectId],
) -> sqlx::Result<i64> {
    let tenant = tx.tenant();
    let conversations: Vec<Uuid> = conversations.iter().map(|id| id.uuid()).collect();
    let subjects: Vec<Vec<u8>> = subjects.iter().map(|id| id.uuid().as_bytes().to_vec()).collect();
    let mut left = 0;
    for table in RESEALED {
        left += sqlx::query_scalar::<_, i64>(table.left)
            .bind(tenant.uuid())
            .bind(&conversations)
            .bind(&subjects)
            .fetch_one(&mut **tx)
            .await?;
    }
    Ok(left)
}

/// Copies the head of a contact for its heir: opted out, so that nobody writes to an erased person, with the sequence going
/// on, because it orders the messages, and with the same conversations fenced. The head may be gone, where the rest of the
/// contact was erased while conversations were held.
pub(crate) async fn copy_head(tx: &mut TenantTx, contact: ContactId, heir: ContactId) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update contact_head h set opted_out = true, seq = 1 + greatest(1,
                (select o.seq from contact_head o where o.tenant_id = $1 and o.contact_id = $2),
                (select max(m.seq) from conversations c
                   join messages m on m.tenant_id = c.tenant_id and m.conversation_id = c.conversation_id
                  where c.tenant_id = $1 and c.contact_id = $2)),
                fenced_conversations = coalesce((select o.fenced_conversations from contact_head o
                                                  where o.tenant_id = $1 and o.contact_id = $2), '{}')
          where h.tenant_id = $1 and h.contact_id = $3",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .bind(heir.uuid())
    .execute(&mut **tx)
    .await?;
    Ok(())
}
