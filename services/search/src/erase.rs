//! The eraser: counts, fences and purges what the index and this database have of a contact. It never says that
//! anything is absent; `verify` does, by other code.

use lethe_ids::{ContactId, ErasureId, ScopeId, TenantId};

use crate::{
    census::{Census, Seat},
    error::Error,
    indexer::Indexer,
    store::{
        self,
        fences::{Fence, Purged},
    },
};

/// What an erasure is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    pub(crate) scope: ScopeId,
    pub(crate) tenant: TenantId,
    pub(crate) erasure: ErasureId,
    pub(crate) contact: ContactId,
}

impl Scope {
    pub(crate) fn seat(&self) -> Seat {
        Seat { tenant: self.tenant, scope: self.scope, erasure: self.erasure }
    }
}

/// Documents in the index, and rows of progress.
pub(crate) async fn count(indexer: &Indexer, scope: &Scope) -> Result<(u64, u64), Error> {
    let documents = indexer.engine.documents(scope.tenant, Some(scope.contact)).await?.len() as u64;
    let mut tx = indexer.db.tenant(scope.tenant).await?;
    Ok((documents, store::progress::count(&mut tx, scope.contact).await?))
}

/// Puts the fence up, waits until every writer that did not meet it is done, and freezes the census.
pub(crate) async fn fence(indexer: &Indexer, scope: &Scope, key: &[u8; 32]) -> Result<Fence, Error> {
    let mut tx = indexer.db.tenant(scope.tenant).await?;
    store::fences::put(&mut tx, scope.scope, scope.erasure, scope.contact, indexer.clock.now()).await?;
    tx.commit().await?;
    // The barrier: whoever comes after this turn has seen the fence, whoever came before is visible.
    let turn = indexer.turn(scope.tenant).await?;
    let fence = find(indexer, scope).await?;
    if let Some(census) = &fence.census {
        // A second call with another key could not purge: better said now.
        Census::open(key, scope.seat(), &census.sealed)?;
        return Ok(fence);
    }
    let messages = indexer.engine.documents(scope.tenant, Some(scope.contact)).await?;
    let mut tx = indexer.db.tenant(scope.tenant).await?;
    let progress_rows = store::progress::count(&mut tx, scope.contact).await?;
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
    let mut documents = indexer.engine.documents(scope.tenant, Some(scope.contact)).await?;
    documents.extend(&census.messages);
    documents.sort_unstable();
    documents.dedup();
    turn.remove_contact(scope.contact).await?;
    // Also when there was nothing to delete: an earlier call may have ended between the two.
    turn.expunge().await?;
    if !indexer.engine.documents(scope.tenant, Some(scope.contact)).await?.is_empty() {
        return Err(Error::NotPurged);
    }
    let mut tx = indexer.db.tenant(scope.tenant).await?;
    let progress_rows = store::progress::remove(&mut tx, scope.contact).await?.max(census.progress_rows);
    let purged = Purged { documents: documents.len() as u64, progress_rows, at: indexer.clock.now() };
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
