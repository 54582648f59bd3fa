//! The rights ledger: one chain a tenant, whoever writes.

use std::fs;

use lethe_ids::{ContactId, ErasureId, ScopeId, TenantId};
use lethe_retention::{
    certificate::Digest,
    ledger::{Census, Erasure, Ledger, LedgerError, Objects, ObjectsConfig, PutError, Record},
};
use tempfile::TempDir;
use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

const NOW: OffsetDateTime = datetime!(2026-01-05 10:00 UTC);

fn tenant() -> TenantId {
    TenantId::new(Uuid::from_u128(1))
}

fn erasure(number: u128) -> Erasure {
    Erasure {
        tenant_id: tenant(),
        erasure_id: ErasureId::new(Uuid::from_u128(number)),
        scope_id: ScopeId::new(Uuid::from_u128(number)),
        contact_id: ContactId::new(Uuid::from_u128(number)),
        other_contact_ids: Vec::new(),
        mode: "everything".to_owned(),
        conversation_ids: Vec::new(),
        confirmed_at: NOW,
        censuses: vec![Census { participant: "messaging".to_owned(), digest: Digest([7; 32]) }],
    }
}

fn objects(folder: &TempDir) -> Objects {
    Objects::open(&ObjectsConfig::Directory { path: folder.path().to_owned() }).unwrap()
}

#[tokio::test]
async fn entries_are_numbered_and_chained_whoever_writes() {
    let folder = tempfile::tempdir().unwrap();
    let writers = [Ledger::new(objects(&folder)), Ledger::new(objects(&folder))];
    let appends = (1..=20)
        .map(|number| writers[number as usize % 2].record(Record::Erasure(erasure(number)), NOW, NOW));
    let references: Vec<_> =
        futures::future::join_all(appends).await.into_iter().map(Result::unwrap).collect();
    let mut numbers: Vec<u64> = references.iter().map(|reference| reference.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    let chain = writers[0].replay(tenant()).await.unwrap();
    assert_eq!(chain.len(), 20);
    for reference in references {
        assert_eq!(chain[usize::try_from(reference.number).unwrap() - 1].reference, reference);
    }
    let leftovers = fs::read_dir(folder.path().join("v1").join(tenant().to_string())).unwrap();
    assert_eq!(leftovers.count(), 20, "no unfinished file");
}

#[tokio::test]
async fn an_erasure_is_recorded_once() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(objects(&folder));
    let first = ledger.record(Record::Erasure(erasure(1)), NOW, NOW).await.unwrap();
    ledger.record(Record::Erasure(erasure(2)), NOW, NOW).await.unwrap();
    let again = ledger.record(Record::Erasure(erasure(1)), NOW, NOW + time::Duration::HOUR).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(ledger.replay(tenant()).await.unwrap().len(), 2);
    assert_eq!(ledger.replay(TenantId::new(Uuid::from_u128(2))).await.unwrap(), []);
}

#[tokio::test]
async fn a_chain_that_was_touched_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(objects(&folder));
    for number in 1..=3 {
        ledger.record(Record::Erasure(erasure(number)), NOW, NOW).await.unwrap();
    }
    let path = folder.path().join("v1").join(tenant().to_string()).join("000000000002.json");
    let text = fs::read_to_string(&path).unwrap();
    let broken_at = async || match ledger.replay(tenant()).await {
        Err(LedgerError::Broken { number, .. }) => number,
        other => panic!("{other:?}"),
    };
    fs::write(&path, text.replace("everything", "everythinq")).unwrap();
    assert_eq!(broken_at().await, 3, "the entry after it carries another digest");
    fs::write(&path, &text[..40]).unwrap();
    assert_eq!(broken_at().await, 2);
    fs::remove_file(&path).unwrap();
    assert_eq!(broken_at().await, 2);
    fs::write(&path, text).unwrap();
    assert_eq!(ledger.replay(tenant()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn an_object_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let objects = objects(&folder);
    objects.put_if_absent("a/b/c.json", b"one".to_vec()).await.unwrap();
    let again = objects.put_if_absent("a/b/c.json", b"two".to_vec()).await;
    assert!(matches!(again, Err(PutError::Exists)));
    assert_eq!(objects.get("a/b/c.json").await.unwrap().unwrap(), b"one");
    assert_eq!(objects.get("a/b/d.json").await.unwrap(), None);
    assert_eq!(objects.list("a/b/").await.unwrap(), ["c.json"]);
    assert_eq!(objects.list("nothing/").await.unwrap(), [""; 0]);
    // What a crash left behind is nobody's object.
    fs::write(folder.path().join("a/b/.1-0.part"), "half").unwrap();
    assert_eq!(objects.list("a/b/").await.unwrap(), ["c.json"]);
}
