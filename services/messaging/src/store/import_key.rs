//! The keys of imported rows, as MACs: what came of each, and which row it was.

use std::collections::HashMap;

use lethe_ids::{ContactId, ConversationId, ImportId};
use lethe_service::TenantTx;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::idempotency;

/// What a key names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Contact = 1,
    Conversation = 2,
    Message = 3,
}

/// A row of a file: which import's, which line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) import: ImportId,
    /// Of the whole file, from 1.
    pub(crate) line: i64,
}

/// What came of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Made, by the row at `place`.
    Made { contact: ContactId, conversation: ConversationId, place: Place },
    /// It was erased.
    Gone,
}

#[derive(FromRow)]
struct Row {
    key_mac: Uuid,
    contact_id: Option<Uuid>,
    conversation_id: Option<Uuid>,
    import_id: Option<Uuid>,
    line: Option<i64>,
}

/// Those of `keys` that came before.
pub(crate) async fn find(tx: &mut TenantTx, keys: &[Uuid]) -> sqlx::Result<HashMap<Uuid, Known>> {
    let tenant = tx.tenant();
    let rows: Vec<Row> = sqlx::query_as(
        "select key_mac, contact_id::uuid, conversation_id::uuid, import_id, line
           from import_keys where tenant_id = $1 and key_mac = any ($2)
         union all
         select key_mac, null, null, null, null from gone_import_keys where tenant_id = $1 and key_mac = any ($2)",
    )
    .bind(tenant.uuid())
    .bind(keys)
    .fetch_all(&mut **tx)
    .await?;
    let known = |row: &Row| match (row.contact_id, row.conversation_id, row.import_id, row.line) {
        (Some(contact), Some(conversation), Some(import), Some(line)) => Known::Made {
            contact: ContactId::new(contact),
            conversation: ConversationId::new(conversation),
            place: Place { import: ImportId::new(import), line },
        },
        _ => Known::Gone,
    };
    Ok(rows.iter().map(|row| (row.key_mac, known(row))).collect())
}

/// Notes what the keys of the row at `place` make. `false` when one of them came before, or what it made was erased: nothing
/// is to be made then.
pub(crate) async fn insert(
    tx: &mut TenantTx,
    (kind, keys): (Kind, &[Uuid]),
    (contact, conversation): (ContactId, Option<ConversationId>),
    place: Place,
    at: OffsetDateTime,
) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let inserted = sqlx::query(
        "insert into import_keys (tenant_id, key_mac, kind, contact_id, conversation_id, import_id, line, created_at)
         select $1, k.mac, $3, $4, $5, $6, $7, $8 from unnest($2::uuid[]) as k (mac)
          where not exists (select from gone_import_keys g where g.tenant_id = $1 and g.key_mac = k.mac)
         on conflict do nothing",
    )
    .bind(tenant.uuid())
    .bind(keys)
    .bind(kind as i16)
    .bind(contact.uuid())
    .bind(conversation.map_or(Uuid::nil(), ConversationId::uuid))
    .bind(place.import.uuid())
    .bind(place.line)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() == keys.len() as u64)
}

/// Forgets keys of rows older than `before`, at most `most` of each kind. Answers how many.
pub(crate) async fn forget(tx: &mut TenantTx, before: OffsetDateTime, most: i64) -> sqlx::Result<u64> {
    let statements = [
        "delete from import_keys where tenant_id = $1 and key_mac in
           (select key_mac from import_keys where tenant_id = $1 and created_at < $2 limit $3)",
        "delete from gone_import_keys where tenant_id = $1 and key_mac in
           (select key_mac from gone_import_keys where tenant_id = $1 and created_at < $2 limit $3)",
    ];
    idempotency::forget_by(tx, statements, before, most).await
}
