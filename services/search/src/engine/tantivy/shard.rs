//! One shard: an index of Tantivy, its writer, and what was written since the last refresh. Everything here blocks.
//!
//! Merges are started by us and not by Tantivy, so that a purge knows which are running.

use std::{
    fs, mem,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
};

use aws_lc_rs::digest::{SHA256, digest};
use futures::FutureExt;
use lethe_ids::{ContactId, ConversationId, MessageId, TenantId};
use tantivy::{
    DocSet, FutureResult, Index, IndexBuilder, IndexReader, IndexSettings, IndexWriter, ReloadPolicy,
    SegmentMeta, SegmentReader, TERMINATED, TantivyDocument, TantivyError, Term,
    index::SegmentId,
    indexer::{IndexWriterOptions, LogMergePolicy, MergePolicy, NoMergePolicy},
    query::TermQuery,
    schema::IndexRecordOption,
    store::Compressor,
};

use super::{
    census::Census,
    first::First,
    query::{OneDocument, query},
    recent::{Recent, State},
    schema::{Fields, INCARNATION, Key, MEMBERS, SEQ, halves, schema},
    volume::Volume,
    words::tokenizers,
};
use crate::engine::{Document, EngineError, FencingToken, Hit, Search, Version, Write, Written};

/// What a writer holds in memory before it writes a segment. In bytes, the least that Tantivy takes.
const WRITER_MEMORY: usize = 15_000_000;
/// Segments of more documents are merged no further: it bounds what a purge writes anew.
const LARGEST_MERGED: usize = 250_000;
/// Segments of fewer documents count as small alike.
const SMALL: u32 = 1_000;

pub(super) struct Shard {
    pub(super) index: Index,
    pub(super) volume: Volume,
    reader: IndexReader,
    fields: Fields,
    writing: Mutex<Writing>,
}

/// What only the holder of the lock touches.
#[derive(Default)]
pub(super) struct Writing {
    writer: Option<IndexWriter>,
    merging: Option<FutureResult<Option<SegmentMeta>>>,
    recent: Recent,
    /// Something was written since the last refresh.
    is_dirty: bool,
    is_closed: bool,
    highest: Option<FencingToken>,
}

impl Shard {
    pub(super) fn open(folder: &Path) -> Result<Self, EngineError> {
        fs::create_dir_all(folder)?;
        let volume = Volume::open(folder).map_err(TantivyError::from)?;
        let (schema, fields) = schema();
        let settings = IndexSettings {
            docstore_compression: Compressor::None,
            docstore_compress_dedicated_thread: false,
            ..IndexSettings::default()
        };
        let index = IndexBuilder::new()
            .schema(schema)
            .settings(settings)
            .tokenizers(tokenizers())
            .open_or_create(volume.clone())?;
        remove_strays(&index, folder)?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self { index, volume, reader, fields, writing: Mutex::default() })
    }

    /// The lock. After a panic under it the writer is dropped with all that was not committed: nothing of that was
    /// acknowledged.
    pub(super) fn lock(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(|poisoned| {
            self.writing.clear_poison();
            let mut writing = poisoned.into_inner();
            writing.give_up();
            writing
        })
    }

    pub(super) fn write(
        &self,
        token: FencingToken,
        tenant: TenantId,
        writes: Vec<Write>,
    ) -> Result<Written, EngineError> {
        let mut writing = self.lock();
        if writing.is_closed {
            return Err(EngineError::Closed);
        }
        if writing.highest.is_some_and(|highest| token < highest) {
            return Err(EngineError::Fenced);
        }
        writing.highest = Some(token);
        let mut written = Written::default();
        for write in writes {
            let outcome = match write {
                Write::Put(document) => self.put(&mut writing, tenant, *document, &mut written),
                Write::Remove(message, version) => self.remove(&mut writing, tenant, message, version),
                Write::RemoveContact(contact) => {
                    self.remove_all(&mut writing, Key::Contact(contact.uuid()).term(&self.fields, tenant))
                }
                Write::RemoveTenant => self.remove_all(&mut writing, Key::Tenant.term(&self.fields, tenant)),
            };
            if let Err(error) = outcome {
                writing.give_up();
                return Err(error);
            }
        }
        Ok(written)
    }

    fn put(
        &self,
        writing: &mut Writing,
        tenant: TenantId,
        document: Document,
        written: &mut Written,
    ) -> Result<(), EngineError> {
        let key = (tenant, document.message);
        let state = State { version: document.version, members: members(&document) };
        if writing.recent.deleted_after(&key, state.version) {
            written.stale += 1;
            return Ok(());
        }
        let present = self.present(writing, tenant, document.message)?;
        match present {
            Some(present) if present.version > state.version => {
                written.stale += 1;
                return Ok(());
            }
            Some(present) if present == state => {
                written.unchanged += 1;
                return Ok(());
            }
            _ => {}
        }
        let term = Key::Message(document.message.uuid()).term(&self.fields, tenant);
        let writer = writing.writer(&self.index)?;
        if present.is_some() {
            writer.delete_term(term);
        }
        writer.add_document(self.document(tenant, &document, state))?;
        writing.recent.put(key, state);
        writing.is_dirty = true;
        written.put += 1;
        Ok(())
    }

    fn remove(
        &self,
        writing: &mut Writing,
        tenant: TenantId,
        message: MessageId,
        version: Version,
    ) -> Result<(), EngineError> {
        let present = self.present(writing, tenant, message)?;
        let newest = present.map_or(version, |present| present.version.max(version));
        writing.recent.remove((tenant, message), newest);
        if present.is_some() {
            let term = Key::Message(message.uuid()).term(&self.fields, tenant);
            writing.writer(&self.index)?.delete_term(term);
            writing.is_dirty = true;
        }
        Ok(())
    }

    /// Refreshes at once: what is waiting may belong to those who are removed.
    fn remove_all(&self, writing: &mut Writing, term: Term) -> Result<(), EngineError> {
        writing.writer(&self.index)?.delete_term(term);
        writing.is_dirty = true;
        self.commit(writing)
    }

    /// The state of a message, refreshed or not.
    fn present(
        &self,
        writing: &Writing,
        tenant: TenantId,
        message: MessageId,
    ) -> Result<Option<State>, EngineError> {
        if let Some(written) = writing.recent.written(&(tenant, message)) {
            return Ok(written);
        }
        let term = Key::Message(message.uuid()).term(&self.fields, tenant);
        for segment in self.reader.searcher().segment_readers() {
            let terms = segment.inverted_index(self.fields.keys)?;
            let Some(mut postings) = terms.read_postings(&term, IndexRecordOption::Basic)? else { continue };
            while postings.doc() != TERMINATED {
                if !segment.is_deleted(postings.doc()) {
                    return state(segment, postings.doc()).map(Some);
                }
                postings.advance();
            }
        }
        Ok(None)
    }

    fn document(&self, tenant: TenantId, document: &Document, state: State) -> TantivyDocument {
        let fields = &self.fields;
        let (high, low) = halves(document.message);
        let mut fresh = TantivyDocument::default();
        let members =
            document.author.iter().chain(&document.assigned).map(|member| Key::Member(member.uuid()));
        let keys = [
            Key::Tenant,
            Key::Message(document.message.uuid()),
            Key::Contact(document.contact.uuid()),
            Key::Conversation(document.conversation.uuid()),
            Key::Channel(document.channel.into()),
        ];
        for key in keys.into_iter().chain(members) {
            fresh.add_bytes(fields.keys, &key.bytes(tenant));
        }
        fresh.add_i64(fields.at, document.at);
        fresh.add_u64(fields.id_high, high);
        fresh.add_u64(fields.id_low, low);
        fresh.add_u64(fields.incarnation, u64::from(state.version.incarnation));
        fresh.add_u64(fields.seq, state.version.seq);
        fresh.add_u64(fields.members, state.members);
        fresh.add_u64(fields.length, document.text.expose().chars().count() as u64);
        fresh.add_text(fields.text, document.text.expose());
        fresh
    }

    pub(super) fn refresh(&self) -> Result<(), EngineError> {
        let mut writing = self.lock();
        self.commit(&mut writing)
    }

    /// Makes what was written visible. When it fails, all of it is given up, and the caller must not acknowledge it.
    pub(super) fn commit(&self, writing: &mut Writing) -> Result<(), EngineError> {
        if !writing.is_dirty {
            writing.recent.refreshed();
            return Ok(());
        }
        let committed = writing.writer(&self.index).and_then(|writer| Ok(writer.commit()?));
        if let Err(error) = committed.and_then(|_| Ok(self.reader.reload()?)) {
            writing.give_up();
            return Err(error);
        }
        writing.recent.refreshed();
        writing.is_dirty = false;
        self.start_merge(writing)
    }

    fn start_merge(&self, writing: &mut Writing) -> Result<(), EngineError> {
        if let Some(merging) = &mut writing.merging {
            match merging.now_or_never() {
                Some(_) => writing.merging = None,
                None => return Ok(()),
            }
        }
        let segments = self.index.searchable_segment_metas()?;
        let mut policy = LogMergePolicy::default();
        policy.set_max_docs_before_merge(LARGEST_MERGED);
        policy.set_min_layer_size(SMALL);
        let candidates = policy.compute_merge_candidates(&segments);
        if let Some(candidate) = candidates.into_iter().next() {
            writing.merging = Some(writing.writer(&self.index)?.merge(&candidate.0));
        }
        Ok(())
    }

    /// Refreshes, waits for a merge that is running, and keeps writers out as long as the answer lives.
    pub(super) fn keep_still(&self) -> Result<MutexGuard<'_, Writing>, EngineError> {
        let mut writing = self.lock();
        self.commit(&mut writing)?;
        writing.finish_merge();
        if let Some(writer) = &writing.writer {
            writer.garbage_collect_files().wait()?;
        }
        Ok(writing)
    }

    /// Lets searches see the segments as they are now.
    pub(super) fn reload(&self) -> Result<(), EngineError> {
        Ok(self.reader.reload()?)
    }

    /// Refreshes and syncs, and writes no more.
    pub(super) fn close(&self) -> Result<(), EngineError> {
        let mut writing = self.keep_still()?;
        writing.writer = None;
        writing.is_closed = true;
        self.sync()
    }

    pub(super) fn sync(&self) -> Result<(), EngineError> {
        Ok(self.volume.sync()?)
    }

    pub(super) fn search(&self, tenant: TenantId, search: &Search) -> Result<Vec<Hit>, EngineError> {
        if search.limit == 0 {
            return Ok(Vec::new());
        }
        let Search { order, from, until, after, limit, .. } = *search;
        let first = First { order, from, until, after, limit };
        let query = query(&self.fields, tenant, search);
        Ok(self.reader.searcher().search_with_statistics_provider(&query, &first, &OneDocument)?)
    }

    pub(super) fn documents(
        &self,
        tenant: TenantId,
        contact: Option<ContactId>,
    ) -> Result<Vec<MessageId>, EngineError> {
        let key = contact.map_or(Key::Tenant, |contact| Key::Contact(contact.uuid()));
        self.census(key.term(&self.fields, tenant), Census::ALL)
    }

    pub(super) fn documents_after(
        &self,
        tenant: TenantId,
        after: Option<MessageId>,
        most: usize,
    ) -> Result<Vec<MessageId>, EngineError> {
        self.census(Key::Tenant.term(&self.fields, tenant), Census { after, most })
    }

    pub(super) fn conversation(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Vec<MessageId>, EngineError> {
        self.census(Key::Conversation(conversation.uuid()).term(&self.fields, tenant), Census::ALL)
    }

    fn census(&self, term: Term, census: Census) -> Result<Vec<MessageId>, EngineError> {
        Ok(self.reader.searcher().search(&TermQuery::new(term, IndexRecordOption::Basic), &census)?)
    }
}

impl Writing {
    /// The writer, opened when first needed: an idle shard has no threads.
    pub(super) fn writer(&mut self, index: &Index) -> Result<&mut IndexWriter, EngineError> {
        if self.is_closed {
            return Err(EngineError::Closed);
        }
        if self.writer.is_none() {
            let options = IndexWriterOptions::builder()
                .num_worker_threads(1)
                .num_merge_threads(1)
                .memory_budget_per_thread(WRITER_MEMORY)
                .build();
            let writer: IndexWriter = index.writer_with_options(options)?;
            writer.set_merge_policy(Box::new(NoMergePolicy));
            self.writer = Some(writer);
        }
        self.writer.as_mut().ok_or_else(|| EngineError::Failed("no writer".to_owned()))
    }

    /// Lets the writer go. Nothing may be waiting in it.
    pub(super) fn rest(&mut self) {
        if !self.is_dirty {
            self.writer = None;
        }
    }

    /// Waits for the merge that is running. One that failed left its segments as they were.
    pub(super) fn finish_merge(&mut self) {
        if let Some(merging) = self.merging.take() {
            drop(merging.wait());
        }
    }

    /// Forgets what was written and deleted lately: all of it is about to go.
    pub(super) fn forget(&mut self) {
        self.recent = Recent::default();
    }

    /// Drops the writer with all that was not committed.
    fn give_up(&mut self) {
        self.finish_merge();
        let (highest, is_closed) = (self.highest, self.is_closed);
        drop(mem::take(self));
        (self.highest, self.is_closed) = (highest, is_closed);
    }
}

fn state(segment: &SegmentReader, document: u32) -> Result<State, EngineError> {
    let column = |name: &str| -> Result<u64, EngineError> {
        Ok(segment.fast_fields().u64(name)?.first(document).unwrap_or_default())
    };
    let incarnation = u32::try_from(column(INCARNATION)?).unwrap_or(u32::MAX);
    Ok(State { version: Version { incarnation, seq: column(SEQ)? }, members: column(MEMBERS)? })
}

/// A digest of those who a search by member finds it for.
fn members(document: &Document) -> u64 {
    let mut input = [0; 32];
    if let Some(author) = document.author {
        input[..16].copy_from_slice(author.uuid().as_bytes());
    }
    if let Some(assigned) = document.assigned {
        input[16..].copy_from_slice(assigned.uuid().as_bytes());
    }
    let hash = digest(&SHA256, &input);
    hash.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Removes what a process that was killed left half written.
fn remove_strays(index: &Index, folder: &Path) -> Result<(), EngineError> {
    let living = index.load_metas()?.list_segment_files();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(PathBuf::from).unwrap_or_default();
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let is_segment = SegmentId::from_uuid_string(stem.split('.').next().unwrap_or_default()).is_ok();
        let is_unfinished = path.extension().is_some_and(|extension| extension == "new");
        if is_unfinished || (is_segment && !living.contains(&name)) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Whether all shards of a folder are complete: every file that is listed is there with the right checksum.
pub(super) fn all_sound(folder: &Path) -> bool {
    (0..super::SHARDS).all(|number| {
        let sound = Index::open_in_dir(super::shard_folder(folder, number))
            .and_then(|index| Ok((index.validate_checksum()?, index)))
            .and_then(|(damaged, index)| Ok((damaged, index.reader()?.searcher().num_docs())));
        sound.is_ok_and(|(damaged, _)| damaged.is_empty())
    })
}
