//! A turn at a shard.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use lethe_ids::{ContactId, ConversationId, MessageId, TenantId};
use tokio::sync::{OwnedMutexGuard, oneshot};

use super::Indexer;
use crate::{
    domain::progress::Progress,
    engine::{Document, EngineError, FencingToken, Version, Write, Written},
    error::Error,
    store,
};

/// How long the database may take over what a write asks it.
const SILENT: Duration = Duration::from_secs(10);

/// What shall be visible at the end of a write.
#[derive(Default)]
pub(crate) struct Changes {
    /// Messages as they are.
    pub(crate) puts: Vec<Document>,
    /// Messages that are not to be had, and the latest state of them that is known of.
    pub(crate) removes: BTreeMap<MessageId, Version>,
    /// Contacts of whom nothing is to be had.
    pub(crate) gone: BTreeSet<ContactId>,
    /// How far contacts have come with that.
    pub(crate) progress: BTreeMap<ContactId, Progress>,
}

/// A tenant's shard, held.
pub(crate) struct Turn<'a> {
    indexer: &'a Indexer,
    tenant: TenantId,
    shard: u16,
    token: FencingToken,
    gate: Arc<OwnedMutexGuard<()>>,
}

/// What the database answers in time. A write keeps all tenants of its shard waiting: it does not wait for a server that fell silent.
async fn answered<T>(question: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Error> {
    let silent = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    Ok(tokio::time::timeout(SILENT, question).await.unwrap_or_else(silent)?)
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        indexer: &'a Indexer,
        tenant: TenantId,
        shard: u16,
        token: FencingToken,
        gate: Arc<OwnedMutexGuard<()>>,
    ) -> Self {
        Self { indexer, tenant, shard, token, gate }
    }

    /// Hands writes to the engine. They go to their end and hold the shard as long, whoever stops waiting for them: what
    /// was left behind could come after a fence.
    async fn put_in(&self, writes: Vec<Write>) -> Result<Written, EngineError> {
        let (engine, gate) = (self.indexer.engine.clone(), self.gate.clone());
        let (token, tenant) = (self.token, self.tenant);
        let (done, outcome) = oneshot::channel();
        self.indexer.tasks.spawn("write_index", async move {
            let written = engine.write(token, tenant, writes).await;
            // Nobody may be waiting any more.
            drop((done.send(written), gate));
        });
        outcome.await.unwrap_or_else(|_| Err(EngineError::Failed("a write was dropped".to_owned())))
    }

    /// From here on the engine refuses what an earlier holder of the shard, which slept, may still want to write. It has
    /// heard of this turn's lease only if something was written under it.
    pub(crate) async fn refuse_older(&self) -> Result<(), Error> {
        self.put_in(Vec::new()).await?;
        Ok(())
    }

    /// Whoever read the index looks once more whether it still was the one that counts.
    ///
    /// # Errors
    /// [`Error::ShardElsewhere`] when the lease ran out meanwhile.
    pub(crate) fn still_counts(&self) -> Result<(), Error> {
        let is_ours = self.indexer.leases.token(self.shard) == Some(self.token);
        if is_ours { Ok(()) } else { Err(Error::ShardElsewhere) }
    }

    /// Check, write, check again, undo. When it returns, all is visible and the progress is committed.
    pub(crate) async fn write(&self, changes: Changes) -> Result<Written, Error> {
        let (db, engine) = (&self.indexer.db, &self.indexer.engine);
        let mut contacts: BTreeSet<ContactId> = changes.progress.keys().copied().collect();
        contacts.extend(changes.puts.iter().map(|document| document.contact));
        let conversations: BTreeSet<ConversationId> =
            changes.puts.iter().map(|document| document.conversation).collect();
        let (fenced, fenced_parts) = answered(async {
            let mut tx = db.tenant(self.tenant).await?;
            let fenced = store::fences::fenced(&mut tx, &contacts).await?;
            Ok((fenced, store::fences::fenced_conversations(&mut tx, &conversations).await?))
        })
        .await?;

        let mut writes = Vec::with_capacity(changes.puts.len() + changes.removes.len());
        let puts = changes.puts.into_iter().filter(|document| {
            !fenced.contains(&document.contact) && !fenced_parts.contains(&document.conversation)
        });
        writes.extend(puts.map(|document| Write::Put(Box::new(document))));
        writes.extend(changes.removes.into_iter().map(|(message, version)| Write::Remove(message, version)));
        let mut written = Written::default();
        if !writes.is_empty() {
            written = self.put_in(writes).await?;
        }
        for contact in &changes.gone {
            self.remove_contact(*contact).await?;
        }
        engine.refresh(self.tenant).await?;

        let mut progress = changes.progress;
        let (fenced_now, fenced_parts_now, is_ours) = answered(async {
            let mut tx = db.tenant(self.tenant).await?;
            let fenced_now = store::fences::fenced(&mut tx, &contacts).await?;
            let fenced_parts_now = store::fences::fenced_conversations(&mut tx, &conversations).await?;
            let is_ours = store::leases::is_current(&mut tx, self.shard, self.token.0).await?;
            progress.retain(|contact, _| !fenced_now.contains(contact));
            if is_ours && !progress.is_empty() {
                store::progress::write(&mut tx, &progress).await?;
                tx.commit().await?;
            }
            Ok((fenced_now, fenced_parts_now, is_ours))
        })
        .await?;
        // Whoever meets a fence deletes, also what was there before: this event may be all that is left to say so.
        let mut undone = false;
        for contact in &fenced_now {
            undone |= self.remove_contact(*contact).await?;
        }
        for conversation in &fenced_parts_now {
            undone |= self.remove_conversation(*conversation).await?;
        }
        if undone {
            engine.expunge(self.shard).await?;
        }
        if !is_ours {
            return Err(Error::Engine(EngineError::Fenced));
        }
        self.indexer.tell_progress();
        Ok(written)
    }

    /// Deletes what is visible of a contact. Answers whether there was anything.
    pub(crate) async fn remove_contact(&self, contact: ContactId) -> Result<bool, Error> {
        let engine = &self.indexer.engine;
        engine.refresh(self.tenant).await?;
        if engine.documents(self.tenant, Some(contact)).await?.is_empty() {
            return Ok(false);
        }
        self.put_in(vec![Write::RemoveContact(contact)]).await?;
        engine.refresh(self.tenant).await?;
        Ok(true)
    }

    /// Deletes what is visible of a conversation. Answers whether there was anything.
    pub(crate) async fn remove_conversation(&self, conversation: ConversationId) -> Result<bool, Error> {
        let engine = &self.indexer.engine;
        engine.refresh(self.tenant).await?;
        let messages = engine.conversation(self.tenant, conversation).await?;
        if messages.is_empty() {
            return Ok(false);
        }
        let removes = messages.into_iter().map(|message| Write::Remove(message, Version::UNKNOWN));
        self.put_in(removes.collect()).await?;
        engine.refresh(self.tenant).await?;
        Ok(true)
    }

    /// Deletes all documents of the tenant.
    pub(crate) async fn remove_tenant(&self) -> Result<(), Error> {
        self.put_in(vec![Write::RemoveTenant]).await?;
        Ok(self.indexer.engine.refresh(self.tenant).await?)
    }

    /// Removes the bytes of what is deleted.
    pub(crate) async fn expunge(&self) -> Result<(), Error> {
        self.indexer.engine.expunge(self.shard).await?;
        Ok(())
    }

    /// The progress of these contacts.
    pub(crate) async fn progress(
        &self,
        contacts: &BTreeSet<ContactId>,
    ) -> Result<BTreeMap<ContactId, Progress>, Error> {
        answered(async {
            store::progress::read(&mut self.indexer.db.tenant(self.tenant).await?, contacts).await
        })
        .await
    }

    /// Reads all of a contact again and puts the index right. Answers whether messaging had any message of it.
    pub(crate) async fn read_again(&self, contact: ContactId) -> Result<bool, Error> {
        let visible = self.indexer.engine.documents(self.tenant, Some(contact)).await?;
        let mut left: BTreeSet<MessageId> = visible.into_iter().collect();
        let (mut after, mut any) = (bytes::Bytes::new(), false);
        loop {
            let batch = self.indexer.source.of_contact(self.tenant, contact, after).await?;
            any |= !batch.documents.is_empty();
            for document in &batch.documents {
                left.remove(&document.message);
            }
            self.write(Changes { puts: batch.documents, ..Changes::default() }).await?;
            after = batch.next;
            if after.is_empty() {
                break;
            }
        }
        let changes = if any {
            let removes = left.into_iter().map(|message| (message, Version::UNKNOWN)).collect();
            Changes { removes, ..Changes::default() }
        } else {
            Changes { gone: [contact].into(), ..Changes::default() }
        };
        self.write(changes).await?;
        Ok(any)
    }
}
