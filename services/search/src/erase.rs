//! The eraser: counts, fences and purges what the index and this database have of a contact. It never says that
//! anything is absent; `verify` does, by other code.

use lethe_ids::{ContactId, ConversationId, ErasureId, MessageId, ScopeId, TenantId};
use lethe_service::TenantTx;

use crate::{
    census::{Census, Seat},
    error::Error,
    indexer::Indexer,
    store::{
        self,
        fences::{Fence, Purged},
    },
};

/// How much of a contact an erasure reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All of it.
    Everything,
    /// All that names it; the messages are indexed again under another.
    ContactOnly,
    /// These conversations; the contact lives on.
    Part(Vec<ConversationId>),
}

/// What an erasure is about.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) scope: ScopeId,
    pub(crate) tenant: TenantId,
    pub(crate) erasure: ErasureId,
    pub(crate) contact: ContactId,
    /// The other ids that the person was a contact under.
    pub(crate) others: Vec<ContactId>,
    pub(crate) reach: Reach,
}

impl Scope {
    /// All ids of the person.
    pub(crate) fn contacts(&self) -> impl Iterator<Item = ContactId> + '_ {
        [self.contact].into_iter().chain(self.others.iter().copied())
    }

    pub(crate) fn seat(&self) -> Seat {
        Seat { tenant: self.tenant, scope: self.scope, erasure: self.erasure }
    }
}

/// Documents in the index, and rows of progress. Only the index that counts is asked.
pub(crate) async fn count(indexer: &Indexer, scope: &Scope) -> Result<(u64, u64), Error> {
    let turn = indexer.turn(scope.tenant).await?;
    let documents = documents(indexer, scope).await?.len() as u64;
    turn.still_counts()?;
    drop(turn);
    let mut tx = indexer.db.tenant(scope.tenant).await?;
    Ok((documents, progress_rows(&mut tx, scope).await?))
}

/// What is visible of the scope.
async fn documents(indexer: &Indexer, scope: &Scope) -> Result<Vec<MessageId>, Error> {
    let mut documents = Vec::new();
    match &scope.reach {
        Reach::Part(conversations) => {
            for conversation in conversations {
                documents.extend(indexer.engine.conversation(scope.tenant, *conversation).await?);
            }
        }
        _ => {
            for contact in scope.contacts() {
                documents.extend(indexer.engine.documents(scope.tenant, Some(contact)).await?);
            }
        }
    }
    documents.sort_unstable();
    Ok(documents)
}

/// How far the contact's changes are visible is known as long as it is.
async fn progress_rows(tx: &mut TenantTx, scope: &Scope) -> Result<u64, Error> {
    match scope.reach {
        Reach::Part(_) => Ok(0),
        _ => {
            let mut rows = 0;
            for contact in scope.contacts() {
                rows += store::progress::count(tx, contact).await?;
            }
            Ok(rows)
        }
    }
}

/// Puts the fence up, waits until every writer that did not meet it is done, and freezes the census.
pub(crate) async fn fence(indexer: &Indexer, scope: &Scope, key: &[u8; 32]) -> Result<Fence, Error> {
    let mut tx = indexer.db.tenant(scope.tenant).await?;
    let part = match &scope.reach {
        Reach::Part(conversations) => Some(conversations.as_slice()),
        _ => None,
    };
    let ids = (scope.scope, scope.erasure, scope.contact);
    store::fences::put(&mut tx, ids, part, &scope.others, indexer.clock.now()).await?;
    tx.commit().await?;
    // The barrier: whoever comes after this turn has seen the fence, whoever came before is visible.
    let turn = indexer.turn(scope.tenant).await?;
    turn.refuse_older().await?;
    let fence = find(indexer, scope).await?;
    if let Some(census) = &fence.census {
        // A second call with another key could not purge: better said now.
        Census::open(key, scope.seat(), &census.sealed)?;
        return Ok(fence);
    }
    let messages = documents(indexer, scope).await?;
    let mut tx = indexer.db.tenant(scope.tenant).await?;
    let progress_rows = progress_rows(&mut tx, scope).await?;
    let documents = messages.len() as u64;
    let (sealed, digest) = Census { messages, progress_rows }.seal(key, scope.seat(), &indexer.entropy);
    let census = store::fences::Census { sealed, digest, documents, progress_rows };
    store::fences::freeze(&mut tx, scope.scope, &census).await?;
    tx.commit().await?;
    drop(turn);
    find(indexer, scope).await
}

/// Deletes the documents and removes their bytes from every file, then deletes the rows.
pub(crate) async fn purge(indexer: &Indexer, scope: &Scope, key: &[u8; 32]) -> Result<Purged, Error> {
    let fence = find(indexer, scope).await?;
    let census = fence.census.ok_or(Error::NotFenced)?;
    let census = Census::open(key, scope.seat(), &census.sealed)?;
    let turn = indexer.turn(scope.tenant).await?;
    let mut gone = documents(indexer, scope).await?;
    gone.extend(&census.messages);
    gone.sort_unstable();
    gone.dedup();
    match &scope.reach {
        Reach::Part(conversations) => {
            for conversation in conversations {
                turn.remove_conversation(*conversation).await?;
            }
        }
        _ => {
            for contact in scope.contacts() {
                turn.remove_contact(contact).await?;
            }
        }
    }
    // Also when there was nothing to delete: an earlier call may have ended between the two.
    turn.expunge().await?;
    if !documents(indexer, scope).await?.is_empty() {
        return Err(Error::NotPurged);
    }
    let mut tx = indexer.db.tenant(scope.tenant).await?;
    let progress_rows = match scope.reach {
        Reach::Part(_) => 0,
        _ => {
            let mut rows = 0;
            for contact in scope.contacts() {
                rows += store::progress::remove(&mut tx, contact).await?;
            }
            rows.max(census.progress_rows)
        }
    };
    let purged = Purged { documents: gone.len() as u64, progress_rows, at: indexer.clock.now() };
    store::fences::note_purged(&mut tx, scope.scope, purged).await?;
    tx.commit().await?;
    find(indexer, scope).await?.purged.ok_or(Error::Corrupt("a fence"))
}

/// The scope's fence, which must be of this contact and erasure.
async fn find(indexer: &Indexer, scope: &Scope) -> Result<Fence, Error> {
    let mut tx = indexer.db.tenant(scope.tenant).await?;
    let fence = store::fences::find(&mut tx, scope.scope).await?.ok_or(Error::NotFenced)?;
    if (fence.contact, fence.erasure) == (scope.contact, scope.erasure) {
        Ok(fence)
    } else {
        Err(Error::ScopeReused)
    }
}
