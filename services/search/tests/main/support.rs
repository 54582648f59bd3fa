//! What the tests share.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use lethe_ambient::Sensitive;
use lethe_ids::{ContactId, ConversationId, MessageId, TenantId};
use lethe_proto::messaging::Channel;
use lethe_search::{
    analysis,
    engine::{
        Document, Engine, EngineError, FencingToken, Hit, Opened, Search, Version, Write,
        tantivy::{TantivyEngine, read_folder},
    },
};
use uuid::Uuid;

pub(crate) const TOKEN: FencingToken = FencingToken(1);

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Another UUID at each call, ascending.
pub(crate) fn fresh() -> Uuid {
    Uuid::from_u64_pair(0x0199_0000_0000_7000, 0x8000_0000_0000_0000 | NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new(fresh())
}

/// Two tenants of one shard.
pub(crate) fn neighbours(engine: &TantivyEngine) -> (TenantId, TenantId) {
    let first = tenant();
    let second = std::iter::repeat_with(tenant).find(|other| engine.shard(*other) == engine.shard(first));
    (first, second.unwrap())
}

pub(crate) fn document(contact: ContactId, text: &str) -> Document {
    Document {
        message: MessageId::new(fresh()),
        contact,
        conversation: ConversationId::new(fresh()),
        channel: Channel::LiveChat,
        author: None,
        assigned: None,
        at: 1_700_000_000_000_000,
        version: Version { incarnation: 1, seq: 1 },
        text: Sensitive::new(text.to_owned()),
    }
}

pub(crate) fn contact() -> ContactId {
    ContactId::new(fresh())
}

pub(crate) fn put(document: &Document) -> Write {
    Write::Put(Box::new(document.clone()))
}

pub(crate) fn open(folder: &Path) -> TantivyEngine {
    opened(folder).0
}

pub(crate) fn opened(folder: &Path) -> (TantivyEngine, Opened) {
    reopen(folder).unwrap()
}

/// Opens what is there, whichever index it is.
pub(crate) fn reopen(folder: &Path) -> Result<(TantivyEngine, Opened), EngineError> {
    TantivyEngine::open(folder, index_id(folder), fresh())
}

fn index_id(folder: &Path) -> Option<Uuid> {
    let mark: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("mark.json")).ok()?).ok()?;
    mark["id"].as_str()?.parse().ok()
}

pub(crate) fn search(words: &str) -> Search {
    Search {
        sought: analysis::sought(words).unwrap(),
        channel: None,
        contact: None,
        conversation: None,
        member: None,
        from: None,
        until: None,
        order: <_>::default(),
        after: None,
        limit: 50,
    }
}

pub(crate) async fn found(engine: &TantivyEngine, tenant: TenantId, search: Search) -> Vec<MessageId> {
    engine.search(tenant, search).await.unwrap().into_iter().map(|Hit { message, .. }| message).collect()
}

/// Whether `token` is in any file as it lies there, or in any term, column or stored field of any segment.
pub(crate) fn lies_about(folder: &Path, token: &str) -> (bool, bool) {
    let mut raw = false;
    for path in files(folder) {
        let bytes = std::fs::read(path).unwrap();
        raw |= bytes.windows(token.len()).any(|window| window == token.as_bytes());
    }
    let mut read = false;
    let unread = read_folder(folder, &mut |piece| {
        read |= piece.bytes.windows(token.len()).any(|window| window == token.as_bytes());
    });
    assert_eq!(unread.unwrap(), Vec::<PathBuf>::new());
    (raw, read)
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files
}
