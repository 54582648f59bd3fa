//! Fences: contacts of whom nothing may be indexed any more, and the census of what there was.

use std::collections::BTreeSet;

use lethe_ids::{ContactId, ConversationId, ErasureId, ScopeId};
use lethe_service::TenantTx;
use sqlx::Row;
use time::OffsetDateTime;
use uuid::Uuid;

/// A fence as it stands.
#[derive(Debug, Clone)]
pub(crate) struct Fence {
    pub(crate) erasure: ErasureId,
    pub(crate) contact: ContactId,
    pub(crate) fenced_at: OffsetDateTime,
    pub(crate) census: Option<Census>,
    pub(crate) purged: Option<Purged>,
}

/// What was frozen.
#[derive(Debug, Clone)]
pub(crate) struct Census {
    pub(crate) sealed: Vec<u8>,
    pub(crate) digest: Vec<u8>,
    pub(crate) documents: u64,
    pub(crate) progress_rows: u64,
}

/// What was deleted, over all calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Purged {
    pub(crate) documents: u64,
    pub(crate) progress_rows: u64,
    pub(crate) at: OffsetDateTime,
}

/// Those of `contacts` that are fenced.
pub(crate) async fn fenced(
    tx: &mut TenantTx,
    contacts: &BTreeSet<ContactId>,
) -> Result<BTreeSet<ContactId>, sqlx::Error> {
    let tenant = tx.tenant();
    let contacts: Vec<Uuid> = contacts.iter().map(|contact| contact.uuid()).collect();
    let erased: Vec<Uuid> = sqlx::query_scalar(
        "select erased from fences where tenant_id = $1 and erased = any($2) and not part
         union
         select asked.id from unnest($2::uuid[]) as asked (id)
          where exists (select from fences where tenant_id = $1 and others @> array[asked.id])",
    )
    .bind(tenant.uuid())
    .bind(contacts)
    .fetch_all(&mut **tx)
    .await?;
    Ok(erased.into_iter().map(ContactId::new).collect())
}

/// Those of `conversations` that are fenced while their contact lives on.
pub(crate) async fn fenced_conversations(
    tx: &mut TenantTx,
    conversations: &BTreeSet<ConversationId>,
) -> Result<BTreeSet<ConversationId>, sqlx::Error> {
    let tenant = tx.tenant();
    let conversations: Vec<Uuid> = conversations.iter().map(|conversation| conversation.uuid()).collect();
    let fenced: Vec<Uuid> = sqlx::query_scalar(
        "select asked.id from unnest($2::uuid[]) as asked (id)
          where exists (select from fences where tenant_id = $1 and part and conversations @> array[asked.id])",
    )
    .bind(tenant.uuid())
    .bind(conversations)
    .fetch_all(&mut **tx)
    .await?;
    Ok(fenced.into_iter().map(ConversationId::new).collect())
}

/// Puts the fence up, unless it stands.
pub(crate) async fn put(
    tx: &mut TenantTx,
    (scope, erasure, contact): (ScopeId, ErasureId, ContactId),
    part: Option<&[ConversationId]>,
    others: &[ContactId],
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into fences (tenant_id, scope_id, erasure_id, erased, fenced_at, part, conversations, others)
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .bind(erasure.uuid())
    .bind(contact.uuid())
    .bind(at)
    .bind(part.is_some())
    .bind(part.unwrap_or_default().iter().map(|conversation| conversation.uuid()).collect::<Vec<_>>())
    .bind(if part.is_some() {
        Vec::new()
    } else {
        others.iter().map(|contact| contact.uuid()).collect::<Vec<_>>()
    })
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Freezes the census, unless one is frozen.
pub(crate) async fn freeze(tx: &mut TenantTx, scope: ScopeId, census: &Census) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "update fences set census = $3, census_digest = $4, documents = $5, progress_rows = $6
          where tenant_id = $1 and scope_id = $2 and census is null",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .bind(&census.sealed)
    .bind(&census.digest)
    .bind(count(census.documents))
    .bind(count(census.progress_rows))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The fence of a scope.
pub(crate) async fn find(tx: &mut TenantTx, scope: ScopeId) -> Result<Option<Fence>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select erasure_id, erased, fenced_at, census, census_digest, documents, progress_rows,
                purged_documents, purged_rows, purged_at
           from fences where tenant_id = $1 and scope_id = $2",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let census = match (row.try_get::<Option<Vec<u8>>, _>(3)?, row.try_get::<Option<Vec<u8>>, _>(4)?) {
        (Some(sealed), Some(digest)) => Some(Census {
            sealed,
            digest,
            documents: row.try_get::<i64, _>(5)?.unsigned_abs(),
            progress_rows: row.try_get::<i64, _>(6)?.unsigned_abs(),
        }),
        _ => None,
    };
    let purged = match row.try_get(9)? {
        Some(at) => Some(Purged {
            documents: row.try_get::<i64, _>(7)?.unsigned_abs(),
            progress_rows: row.try_get::<i64, _>(8)?.unsigned_abs(),
            at,
        }),
        None => None,
    };
    Ok(Some(Fence {
        erasure: ErasureId::new(row.try_get(0)?),
        contact: ContactId::new(row.try_get(1)?),
        fenced_at: row.try_get(2)?,
        census,
        purged,
    }))
}

/// Notes what was deleted. The numbers are over all calls and never fall.
pub(crate) async fn note_purged(
    tx: &mut TenantTx,
    scope: ScopeId,
    purged: Purged,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "update fences set purged_documents = greatest(purged_documents, $3),
                purged_rows = greatest(purged_rows, $4), purged_at = $5
          where tenant_id = $1 and scope_id = $2",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .bind(count(purged.documents))
    .bind(count(purged.progress_rows))
    .bind(purged.at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
