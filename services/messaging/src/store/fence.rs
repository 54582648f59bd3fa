//! Fences, and what stands behind them.

use lethe_ids::{ContactId, ConversationId, ErasureId, ScopeId, SubjectId};
use lethe_proto::messaging::Channel;
use lethe_service::TenantTx;
use sqlx::{FromRow, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::opt_out::Listed;
use crate::{census::Counted, scope::Mode};

/// A fence as it is stored.
#[derive(Debug, FromRow)]
pub(crate) struct FenceRow {
    erased: Uuid,
    /// When.
    pub(crate) fenced_at: OffsetDateTime,
    /// When the purge was done.
    pub(crate) purged_at: Option<OffsetDateTime>,
    mode: i16,
    conversations: Vec<Uuid>,
    noticed: Vec<Uuid>,
    hold_subject: Option<Uuid>,
    heir: Option<Uuid>,
    heir_subject: Option<Uuid>,
    contacts: Vec<Uuid>,
    /// Addresses that stay blocked; empty once purged.
    pub(crate) suppressed: Json<Vec<Listed>>,
}

/// The census behind a fence.
#[derive(Debug, FromRow)]
pub(crate) struct Frozen {
    /// Sealed under the erasure's own key.
    pub(crate) census: Vec<u8>,
    /// SHA-256 over the census before it was sealed.
    pub(crate) census_digest: Vec<u8>,
    /// Its counts.
    pub(crate) tallies: Json<Vec<Counted>>,
}

impl FenceRow {
    /// Whom it is about.
    pub(crate) fn contact(&self) -> ContactId {
        ContactId::new(self.erased)
    }
    /// All ids of the person, the contact that it was last first.
    pub(crate) fn contacts(&self) -> Vec<ContactId> {
        match self.contacts.as_slice() {
            [] => vec![self.contact()],
            contacts => contacts.iter().copied().map(ContactId::new).collect(),
        }
    }
    /// How much of it.
    pub(crate) fn mode(&self) -> Mode {
        Mode::try_from(i32::from(self.mode)).unwrap_or_default()
    }
    /// Of a part: which conversations.
    pub(crate) fn conversations(&self) -> Vec<ConversationId> {
        self.conversations.iter().copied().map(ConversationId::new).collect()
    }
    /// Of a part: those that no notices were laid down of yet.
    pub(crate) fn unnoticed(&self) -> Vec<ConversationId> {
        let unnoticed = self.conversations.iter().filter(|one| !self.noticed.contains(one));
        unnoticed.copied().map(ConversationId::new).collect()
    }
    /// Whose secret the held ones were re-sealed under, if some were.
    pub(crate) fn hold_subject(&self) -> Option<SubjectId> {
        self.hold_subject.map(SubjectId::new)
    }
    /// Where conversations are moving, while they do.
    pub(crate) fn heir(&self) -> Option<(ContactId, SubjectId)> {
        Some((ContactId::new(self.heir?), SubjectId::new(self.heir_subject?)))
    }
}

/// A fence to be inserted.
#[derive(Debug)]
pub(crate) struct NewFence<'a> {
    /// What is erased.
    pub(crate) scope: ScopeId,
    /// By which erasure.
    pub(crate) erasure: ErasureId,
    /// Whom it is about.
    pub(crate) contact: ContactId,
    /// Now.
    pub(crate) at: OffsetDateTime,
    /// How much of it.
    pub(crate) mode: Mode,
    /// Of a part: which conversations.
    pub(crate) conversations: &'a [ConversationId],
    /// Those that are held.
    pub(crate) held: &'a [ConversationId],
    /// Addresses that stay blocked.
    pub(crate) suppressed: &'a [Listed],
    /// All ids of the person.
    pub(crate) contacts: &'a [ContactId],
}

/// The fence of a scope.
pub(crate) async fn find(tx: &mut TenantTx, scope: ScopeId) -> sqlx::Result<Option<FenceRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select erased, fenced_at, purged_at, mode, conversations, noticed, hold_subject, heir, heir_subject, contacts, suppressed
           from fences where tenant_id = $1 and scope_id = $2",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .fetch_optional(&mut **tx)
    .await
}

/// Raises the contact's fence: from the commit on no writer adds to it. Answers the sequence of that change; `None` when
/// there is no such contact.
pub(crate) async fn raise(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<Option<i64>> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "update contact_head set fenced = true, seq = seq + 1 where tenant_id = $1 and contact_id = $2
         returning seq",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .fetch_optional(&mut **tx)
    .await
}

/// Raises a fence around conversations of a contact who lives on. Answers the sequence of that change; `None` when there is
/// no such contact.
pub(crate) async fn raise_part(
    tx: &mut TenantTx,
    contact: ContactId,
    conversations: &[ConversationId],
) -> sqlx::Result<Option<i64>> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "update contact_head set seq = seq + 1,
                fenced_conversations = array (select distinct unnest(fenced_conversations || $3))
          where tenant_id = $1 and contact_id = $2 returning seq",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .bind(uuids(conversations))
    .fetch_optional(&mut **tx)
    .await
}

/// The e-mail conversations that a contact has and that are not being erased already. The caller holds the lock of the head.
pub(crate) async fn emails_of(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<Vec<ConversationId>> {
    let tenant = tx.tenant();
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "select c.conversation_id::uuid from conversations c
           join contact_head h on h.tenant_id = c.tenant_id and h.contact_id = c.contact_id
          where c.tenant_id = $1 and c.contact_id = $2 and c.channel = $3
            and not (c.conversation_id::uuid = any (h.fenced_conversations))
          order by 1",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .bind(Channel::Email as i16)
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(ConversationId::new).collect())
}

/// Those of `conversations` that are the contact's.
pub(crate) async fn own_of(
    tx: &mut TenantTx,
    contact: ContactId,
    conversations: &[ConversationId],
) -> sqlx::Result<Vec<ConversationId>> {
    let tenant = tx.tenant();
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "select conversation_id::uuid from conversations
          where tenant_id = $1 and contact_id = $2 and conversation_id::uuid = any ($3) order by 1",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .bind(uuids(conversations))
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(ConversationId::new).collect())
}

/// All ids of the person of whom this was one, where it was erased as such.
pub(crate) async fn erased_with(
    tx: &mut TenantTx,
    contact: ContactId,
) -> sqlx::Result<Option<Vec<ContactId>>> {
    let tenant = tx.tenant();
    let ids: Option<Vec<Uuid>> = sqlx::query_scalar(
        "select contacts from fences where tenant_id = $1 and $2 = any (contacts) order by fenced_at limit 1",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    Ok(ids.map(|ids| ids.into_iter().map(ContactId::new).collect()))
}

/// Inserts a fence. `false` when the scope has one already.
pub(crate) async fn insert(tx: &mut TenantTx, new: &NewFence<'_>) -> sqlx::Result<bool> {
    let tenant = tx.tenant();
    let inserted = sqlx::query(
        "insert into fences (tenant_id, scope_id, erasure_id, erased, fenced_at, mode, conversations, held, suppressed, contacts)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing",
    )
    .bind(tenant.uuid())
    .bind(new.scope.uuid())
    .bind(new.erasure.uuid())
    .bind(new.contact.uuid())
    .bind(new.at)
    .bind(new.mode as i16)
    .bind(uuids(new.conversations))
    .bind(uuids(new.held))
    .bind(Json(new.suppressed))
    .bind(match new.contacts {
        // `erased` says it.
        [_] => Vec::new(),
        contacts => ids(contacts),
    })
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Keeps the census of a fence, unless it has one.
pub(crate) async fn freeze(tx: &mut TenantTx, scope: ScopeId, frozen: &Frozen) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update fences set census = $3, census_digest = $4, tallies = $5
          where tenant_id = $1 and scope_id = $2 and census is null",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .bind(&frozen.census)
    .bind(&frozen.census_digest)
    .bind(&frozen.tallies)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// The census of a fence; `None` while it has none.
pub(crate) async fn frozen(tx: &mut TenantTx, scope: ScopeId) -> sqlx::Result<Option<Frozen>> {
    let tenant = tx.tenant();
    sqlx::query_as(
        "select census, census_digest, tallies from fences
          where tenant_id = $1 and scope_id = $2 and census is not null",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .fetch_optional(&mut **tx)
    .await
}

/// Adds to what was done so far.
pub(crate) async fn note(tx: &mut TenantTx, scope: ScopeId, more: &[Counted]) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update fences set evidence = add_evidence_v1(evidence, $3) where tenant_id = $1 and scope_id = $2",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .bind(Json(more))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What was done so far. Whoever else wants to add to it waits for this transaction.
pub(crate) async fn evidence(tx: &mut TenantTx, scope: ScopeId) -> sqlx::Result<Vec<Counted>> {
    let tenant = tx.tenant();
    let evidence: Json<Vec<Counted>> =
        sqlx::query_scalar("select evidence from fences where tenant_id = $1 and scope_id = $2 for update")
            .bind(tenant.uuid())
            .bind(scope.uuid())
            .fetch_one(&mut **tx)
            .await?;
    Ok(evidence.0)
}

/// Adds to what was done that the secrets are destroyed, and notes until when an old copy of the keystore may still open them. The first
/// destruction counts.
pub(crate) async fn note_destroyed(
    tx: &mut TenantTx,
    scope: ScopeId,
    more: &[Counted],
    shredded_by: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update fences set evidence = add_evidence_v1(evidence, $3), shredded_by = coalesce(shredded_by, $4)
          where tenant_id = $1 and scope_id = $2",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .bind(Json(more))
    .bind(shredded_by)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that nothing is left to purge, and forgets which addresses were put on the list for it: the rights ledger has them.
pub(crate) async fn note_purged(tx: &mut TenantTx, scope: ScopeId, at: OffsetDateTime) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update fences set purged_at = coalesce(purged_at, $3), suppressed = '[]' where tenant_id = $1 and scope_id = $2",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that notices of these conversations are laid down. The caller holds the row's lock.
pub(crate) async fn note_noticed(
    tx: &mut TenantTx,
    scope: ScopeId,
    conversations: &[ConversationId],
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query("update fences set noticed = noticed || $3 where tenant_id = $1 and scope_id = $2")
        .bind(tenant.uuid())
        .bind(scope.uuid())
        .bind(uuids(conversations))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes where conversations are moving, or that they have moved: then nothing says any more where.
pub(crate) async fn note_heir(
    tx: &mut TenantTx,
    scope: ScopeId,
    heir: Option<(ContactId, SubjectId)>,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query("update fences set heir = $3, heir_subject = $4 where tenant_id = $1 and scope_id = $2")
        .bind(tenant.uuid())
        .bind(scope.uuid())
        .bind(heir.map(|(contact, _)| contact.uuid()))
        .bind(heir.map(|(_, subject)| subject.uuid()))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes whose secret the held ones are re-sealed under; the first note counts, and is answered.
pub(crate) async fn note_hold_subject(
    tx: &mut TenantTx,
    scope: ScopeId,
    subject: SubjectId,
) -> sqlx::Result<SubjectId> {
    let tenant = tx.tenant();
    let kept: Uuid = sqlx::query_scalar(
        "update fences set hold_subject = coalesce(hold_subject, $3) where tenant_id = $1 and scope_id = $2
         returning hold_subject",
    )
    .bind(tenant.uuid())
    .bind(scope.uuid())
    .bind(subject.uuid())
    .fetch_one(&mut **tx)
    .await?;
    Ok(SubjectId::new(kept))
}

pub(super) fn ids(contacts: &[ContactId]) -> Vec<Uuid> {
    contacts.iter().map(|contact| contact.uuid()).collect()
}

pub(super) fn uuids(conversations: &[ConversationId]) -> Vec<Uuid> {
    conversations.iter().map(|conversation| conversation.uuid()).collect()
}
