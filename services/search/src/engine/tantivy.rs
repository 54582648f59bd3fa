//! The embedded engine: eight Tantivy indexes (shards) in a folder of one process.
//!
//! Each shard's work runs on a blocking thread, writers under the shard's lock, searches beside them. The folder has a
//! mark of its format and of the machine's boot, by which [`TantivyEngine::open`] notices that it was wiped or that the
//! power went away.

mod census;
mod expunge;
mod first;
mod mark;
mod query;
mod recent;
mod scan;
mod schema;
mod shard;
mod volume;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};
use futures::future::{BoxFuture, FutureExt};
use lethe_ids::{ContactId, ConversationId, MessageId, TenantId};
use tantivy::TantivyError;
use uuid::Uuid;

use super::{
    Engine, EngineError, Expunged, FencingToken, Hit, Opened, Scanned, Search, Wanted, Write, Written,
};
pub use scan::{Piece, PieceKind, ScanError, read_folder};
use shard::Shard;

/// How many shards an index has. Tenants are spread by a hash of their id.
pub const SHARDS: u16 = 8;

/// The embedded engine. Clones share it.
#[derive(Clone)]
pub struct TantivyEngine {
    folder: PathBuf,
    shards: Arc<[Arc<Shard>]>,
    id: Uuid,
    /// Held until the engine is closed: one process has the folder.
    lock: Arc<Mutex<Option<fs::File>>>,
}

impl TantivyEngine {
    /// Opens the index in `folder`, or makes one there with the id `new_id`. An index that is not the `expected` one is
    /// replaced. Answers what it found. Blocks for milliseconds, after a loss of power for as long as it takes to read
    /// all of it.
    ///
    /// # Errors
    /// When the folder cannot be written, or another process has it open.
    pub fn open(folder: &Path, expected: Option<Uuid>, new_id: Uuid) -> Result<(Self, Opened), EngineError> {
        fs::create_dir_all(folder)?;
        let lock = fs::File::create(folder.join("lock"))?;
        lock.try_lock().map_err(|_| EngineError::Failed("another process has the index open".to_owned()))?;
        let mark = mark::Mark::read(folder);
        let trusted = mark.as_ref().is_some_and(|mark| mark.fits(folder) && Some(mark.id) == expected);
        let sure = mark.as_ref().is_some_and(mark::Mark::is_sure);
        let damaged = !trusted || (!sure && !shard::all_sound(folder));
        if damaged {
            mark::clear(folder)?;
        }
        let id = mark.filter(|_| !damaged).map_or(new_id, |mark| mark.id);
        mark::Mark::open(id).write(folder)?;
        let shards = (0..SHARDS)
            .map(|number| Shard::open(&shard_folder(folder, number)).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let opened = match (damaged, sure) {
            (true, _) => Opened::Empty,
            (false, true) => Opened::Whole,
            (false, false) => Opened::Unsure,
        };
        Ok((
            Self {
                folder: folder.to_owned(),
                shards: shards.into(),
                id,
                lock: Arc::new(Mutex::new(Some(lock))),
            },
            opened,
        ))
    }

    /// The index's id: another one means other contents.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Makes all durable, marks the folder as whole and lets go of it. Nothing is written afterwards; searches go on.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn close(&self) -> Result<(), EngineError> {
        for shard in self.shards.iter() {
            self.run(shard, Shard::close).await?;
        }
        let (folder, mark) = (self.folder.clone(), mark::Mark::closed(self.id));
        blocking(move || mark.write(&folder)).await?;
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(())
    }

    fn of(&self, tenant: TenantId) -> &Arc<Shard> {
        &self.shards[usize::from(self.shard(tenant))]
    }

    async fn run<T: Send + 'static>(
        &self,
        shard: &Arc<Shard>,
        work: impl FnOnce(&Shard) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let shard = shard.clone();
        blocking(move || work(&shard)).await
    }
}

/// The folder of a shard's index.
fn shard_folder(folder: &Path, number: u16) -> PathBuf {
    folder.join(format!("shard-{number}"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(EngineError::Failed(if error.is_panic() {
            "a worker panicked".to_owned()
        } else {
            "the process is stopping".to_owned()
        })),
    }
}

impl From<TantivyError> for EngineError {
    /// Keeps the kind of error alone: Tantivy's messages may quote values.
    fn from(error: TantivyError) -> Self {
        Self::Failed(
            match error {
                TantivyError::LockFailure(..) => "another process has the index open",
                TantivyError::DataCorruption(_) => "a file of the index is damaged",
                TantivyError::IoError(_)
                | TantivyError::OpenReadError(_)
                | TantivyError::OpenWriteError(_)
                | TantivyError::OpenDirectoryError(_) => "a file of the index cannot be read or written",
                TantivyError::IncompatibleIndex(_) => "the index is of another version",
                TantivyError::ErrorInThread(_) | TantivyError::Poisoned => "a worker of the index failed",
                _ => "the index refused the work",
            }
            .to_owned(),
        )
    }
}

impl From<std::io::Error> for EngineError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(format!("a file of the index cannot be read or written: {}", error.kind()))
    }
}

impl Engine for TantivyEngine {
    fn shard(&self, tenant: TenantId) -> u16 {
        let hash = digest(&SHA256, tenant.uuid().as_bytes());
        u16::from_be_bytes([hash.as_ref()[0], hash.as_ref()[1]]) % SHARDS
    }

    fn shards(&self) -> u16 {
        SHARDS
    }

    fn write(
        &self,
        token: FencingToken,
        tenant: TenantId,
        writes: Vec<Write>,
    ) -> BoxFuture<'_, Result<Written, EngineError>> {
        self.run(self.of(tenant), move |shard| shard.write(token, tenant, writes)).boxed()
    }

    fn refresh(&self, tenant: TenantId) -> BoxFuture<'_, Result<(), EngineError>> {
        self.run(self.of(tenant), Shard::refresh).boxed()
    }

    fn sync(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        async {
            for shard in self.shards.iter() {
                self.run(shard, Shard::sync).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn search(&self, tenant: TenantId, search: Search) -> BoxFuture<'_, Result<Vec<Hit>, EngineError>> {
        self.run(self.of(tenant), move |shard| shard.search(tenant, &search)).boxed()
    }

    fn documents(
        &self,
        tenant: TenantId,
        contact: Option<ContactId>,
    ) -> BoxFuture<'_, Result<Vec<MessageId>, EngineError>> {
        self.run(self.of(tenant), move |shard| shard.documents(tenant, contact)).boxed()
    }

    fn documents_after(
        &self,
        tenant: TenantId,
        after: Option<MessageId>,
        most: usize,
    ) -> BoxFuture<'_, Result<Vec<MessageId>, EngineError>> {
        self.run(self.of(tenant), move |shard| shard.documents_after(tenant, after, most)).boxed()
    }

    fn conversation(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> BoxFuture<'_, Result<Vec<MessageId>, EngineError>> {
        self.run(self.of(tenant), move |shard| shard.conversation(tenant, conversation)).boxed()
    }

    fn expunge(&self, shard: u16) -> BoxFuture<'_, Result<Expunged, EngineError>> {
        self.run(&self.shards[usize::from(shard)], Shard::expunge).boxed()
    }

    fn clear(&self, shard: u16) -> BoxFuture<'_, Result<(), EngineError>> {
        self.run(&self.shards[usize::from(shard)], Shard::clear).boxed()
    }

    fn scan(&self, tenant: TenantId, wanted: Wanted) -> BoxFuture<'_, Result<Scanned, EngineError>> {
        let folder = shard_folder(&self.folder, self.shard(tenant));
        self.run(self.of(tenant), move |shard| {
            let _writers_out = shard.keep_still()?;
            scan::scan(&folder, tenant, &wanted)
        })
        .boxed()
    }
}
