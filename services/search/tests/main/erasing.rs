//! The participant of an erasure: counted, fenced against every writer, purged, verified by other code.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt};
use lethe_ambient::Tasks;
use lethe_ids::{ContactId, ConversationId, ErasureId, MessageId, ScopeId, TenantId};
use lethe_search::{
    Config, analysis,
    engine::{
        Engine, EngineError, Expunged, FencingToken, Hit, Scanned, Search, Wanted, Write, Written,
        tantivy::{PieceKind, TantivyEngine, read_folder},
    },
};
use lethe_service::Database;
use lethe_testkit::Databases;
use tokio::sync::Semaphore;

use crate::{
    stage::{Erasure, Stage, lines, texts, until},
    support::{fresh, lies_about},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_leaves_no_byte_and_says_what_it_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    let (gone, kept) = (stage.place(), stage.place());
    let kept = crate::messaging::Place { tenant: gone.tenant, ..kept };
    for number in 0..5 {
        stage.messaging.say(gone, &format!("axolotl{number}gone hello")).await;
    }
    let (_, seq) = stage.messaging.say(gone, "axolotl5gone hello").await;
    let (stays, stays_seq) = stage.messaging.say(kept, "hello there").await;
    stage.search(kept, "hello", stays_seq).await;
    assert_eq!(stage.search(gone, "hello", seq).await.len(), 7);

    let erasure = Erasure::of(gone.tenant, gone.contact);
    let count = erasure.count(&stage).await;
    assert!(count.known);
    assert_eq!(
        count.tallies.iter().map(|t| (t.kind.as_str(), t.count)).collect::<Vec<_>>(),
        [("documents", 6), ("progress", 1)]
    );
    assert!(!Erasure::of(gone.tenant, ContactId::new(fresh())).count(&stage).await.known);
    assert!(erasure.purge(&stage).await.is_err(), "not before the fence");

    let fenced = erasure.fence(&stage).await.unwrap();
    assert_eq!(fenced.tallies, count.tallies);
    assert_eq!(erasure.fence(&stage).await.unwrap(), fenced, "twice");
    assert!(erasure.with_key(&[8; 32]).fence(&stage).await.is_err(), "another key");
    let other = Erasure::of(gone.tenant, kept.contact);
    assert!(other.verify(&stage).await.is_err(), "not fenced");
    // The verifier sees what is there: it can say no.
    let before = erasure.verify(&stage).await.unwrap();
    assert_eq!(
        lines(&before),
        [
            ("index", "documents", 7, 7),
            ("index", "files", before[1].looked_for, 0),
            ("postgres", "progress", 1, 1)
        ]
    );

    // A message that comes after the fence is not indexed, and leaves no row.
    stage.messaging.say(gone, "axolotl6late hello").await;
    let (_, seq) = stage.messaging.say(kept, "behind it").await;
    stage.search(kept, "behind", seq).await;

    for _ in 0..2 {
        let purged = erasure.purge(&stage).await.unwrap();
        assert_eq!(purged.evidence, count.tallies, "over all calls");
        let after = erasure.verify(&stage).await.unwrap();
        assert!(lines(&after).iter().all(|line| line.3 == 0), "{after:?}");
        assert_eq!(after[0].code, "TERMS_ABSENT");
    }
    for token in ["axolotl", "0gone", "5gone", "6late"] {
        assert_eq!(lies_about(folder.path(), token), (false, false), "{token}");
    }
    // Old news of before come again: whoever meets a fence deletes.
    stage.messaging.say(gone, "axolotl7late hello").await;
    let (_, seq) = stage.messaging.say(kept, "last").await;
    stage.search(kept, "last", seq).await;
    let after = erasure.verify(&stage).await.unwrap();
    assert!(lines(&after).iter().all(|line| line.3 == 0), "{after:?}");
    assert_eq!(stage.look(gone.tenant, "hello").await, texts(&[stays]));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_person_who_was_two_contacts_no_byte_is_left_of_either() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    let (one, kept) = (stage.place(), stage.place());
    let kept = crate::messaging::Place { tenant: one.tenant, ..kept };
    let other = crate::messaging::Place { tenant: one.tenant, ..stage.place() };
    let mut last = 0;
    for place in [one, other, kept] {
        last = stage.messaging.say(place, "axolotl hello").await.1;
        stage.search(place, "axolotl", last).await;
    }
    let erasure = Erasure::of(one.tenant, one.contact).and(other.contact);
    let count = erasure.count(&stage).await;
    assert_eq!(count.tallies.iter().map(|tally| tally.count).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(erasure.fence(&stage).await.unwrap().tallies, count.tallies);
    let before = erasure.verify(&stage).await.unwrap();
    assert_eq!(lines(&before)[0], ("index", "documents", 4, 4), "two documents, two ids");
    // What comes late of either is met by the fence.
    for place in [one, other] {
        stage.messaging.say(place, "late hello").await;
    }
    let (_, seq) = stage.messaging.say(kept, "behind it").await;
    stage.search(kept, "behind", seq).await;
    assert!(seq > last);
    assert_eq!(erasure.purge(&stage).await.unwrap().evidence, count.tallies);
    let after = erasure.verify(&stage).await.unwrap();
    assert!(lines(&after).iter().all(|line| line.3 == 0), "{after:?}");
    assert_eq!(lies_about(folder.path(), "late"), (false, false));
    assert_eq!(stage.look(one.tenant, "axolotl").await.len(), 1);
    stage.stop().await;
}

/// An engine that lets a test in between a writer's two looks at the fences. As in the real one, a write that has begun
/// goes on when nobody waits for it any more.
struct Between {
    inner: TantivyEngine,
    db: Database,
    gap: Arc<Gap>,
}

struct Gap {
    /// Puts up a fence of this contact before the write.
    fence: Mutex<Option<ContactId>>,
    /// The most that was written at once.
    largest: Mutex<usize>,
    /// Writes wait for a permit.
    gate: Semaphore,
    waiting: Mutex<usize>,
    /// The writes under way.
    tasks: Tasks,
}

impl Between {
    fn new(inner: TantivyEngine, db: Database, permits: usize) -> Self {
        let gate = Semaphore::new(permits);
        let (fence, largest, waiting) = <_>::default();
        let gap = Gap { fence, largest, gate, waiting, tasks: Tasks::new() };
        Self { inner, db, gap: Arc::new(gap) }
    }
}

impl Gap {
    async fn pass(&self, db: &Database, tenant: TenantId) {
        *self.waiting.lock().unwrap() += 1;
        self.gate.acquire().await.unwrap().forget();
        let contact = self.fence.lock().unwrap().take();
        if let Some(contact) = contact {
            let mut tx = db.tenant(tenant).await.unwrap();
            sqlx::query("insert into fences (tenant_id, scope_id, erasure_id, erased, fenced_at) values ($1, $2, $3, $4, now())")
                .bind(tenant.uuid())
                .bind(ScopeId::new(fresh()).uuid())
                .bind(ErasureId::new(fresh()).uuid())
                .bind(contact.uuid())
                .execute(&mut *tx)
                .await
                .unwrap();
            tx.commit().await.unwrap();
        }
    }
}

impl Engine for Between {
    fn shard(&self, tenant: TenantId) -> u16 {
        self.inner.shard(tenant)
    }
    fn shards(&self) -> u16 {
        self.inner.shards()
    }
    fn write(
        &self,
        token: FencingToken,
        tenant: TenantId,
        writes: Vec<Write>,
    ) -> BoxFuture<'_, Result<Written, EngineError>> {
        let (inner, db, gap) = (self.inner.clone(), self.db.clone(), self.gap.clone());
        {
            let mut largest = gap.largest.lock().unwrap();
            *largest = writes.len().max(*largest);
        }
        let (done, written) = tokio::sync::oneshot::channel();
        self.gap.tasks.spawn("write", async move {
            gap.pass(&db, tenant).await;
            drop(done.send(inner.write(token, tenant, writes).await));
        });
        async move { written.await.unwrap() }.boxed()
    }
    fn refresh(&self, tenant: TenantId) -> BoxFuture<'_, Result<(), EngineError>> {
        self.inner.refresh(tenant)
    }
    fn sync(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        self.inner.sync()
    }
    fn search(&self, tenant: TenantId, search: Search) -> BoxFuture<'_, Result<Vec<Hit>, EngineError>> {
        self.inner.search(tenant, search)
    }
    fn documents(
        &self,
        tenant: TenantId,
        contact: Option<ContactId>,
    ) -> BoxFuture<'_, Result<Vec<MessageId>, EngineError>> {
        self.inner.documents(tenant, contact)
    }
    fn documents_after(
        &self,
        tenant: TenantId,
        after: Option<MessageId>,
        most: usize,
    ) -> BoxFuture<'_, Result<Vec<MessageId>, EngineError>> {
        self.inner.documents_after(tenant, after, most)
    }
    fn conversation(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> BoxFuture<'_, Result<Vec<MessageId>, EngineError>> {
        self.inner.conversation(tenant, conversation)
    }
    fn expunge(&self, shard: u16) -> BoxFuture<'_, Result<Expunged, EngineError>> {
        self.inner.expunge(shard)
    }
    fn clear(&self, shard: u16) -> BoxFuture<'_, Result<(), EngineError>> {
        self.inner.clear(shard)
    }
    fn scan(&self, tenant: TenantId, wanted: Wanted) -> BoxFuture<'_, Result<Scanned, EngineError>> {
        self.inner.scan(tenant, wanted)
    }
}

const PLENTY: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_between_a_writers_two_looks_undoes_the_write() {
    let folder = tempfile::tempdir().unwrap();
    let (stage, engine) = Stage::on(folder.path(), |_| {}, |inner, db| Between::new(inner, db, PLENTY)).await;
    let (place, other) = (stage.place(), stage.place());
    let other = crate::messaging::Place { tenant: place.tenant, ..other };
    *engine.gap.fence.lock().unwrap() = Some(place.contact);
    stage.messaging.say(place, "numbat raced").await;
    let (_, seq) = stage.messaging.say(other, "behind").await;
    stage.search(other, "behind", seq).await;
    assert!(engine.gap.fence.lock().unwrap().is_none(), "the race was run");
    assert_eq!(engine.documents(place.tenant, Some(place.contact)).await.unwrap(), []);
    assert_eq!(lies_about(folder.path(), "numbat"), (false, false));
    let mut superuser = Databases::superuser(&stage.config.database).await;
    let rows: i64 = sqlx::query_scalar("select count(*) from progress where contact_id = $1")
        .bind(place.contact.uuid())
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(rows, 0, "no row of one who is fenced");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_waits_for_the_writers_that_did_not_meet_it() {
    let folder = tempfile::tempdir().unwrap();
    let (stage, engine) = Stage::on(folder.path(), |_| {}, |inner, db| Between::new(inner, db, 0)).await;
    let place = stage.place();
    stage.messaging.say(place, "numbat in flight").await;
    until("a writer under way", || async { *engine.gap.waiting.lock().unwrap() > 0 }).await;
    let erasure = Erasure::of(place.tenant, place.contact);
    let mut fence = Box::pin(erasure.fence(&stage));
    // The fence's row is committed, and yet it does not answer.
    let mut superuser = Databases::superuser(&stage.config.database).await;
    loop {
        assert!((&mut fence).now_or_never().is_none(), "a writer is under way");
        let rows: i64 =
            sqlx::query_scalar("select count(*) from fences").fetch_one(&mut superuser).await.unwrap();
        if rows == 1 {
            break;
        }
    }
    let early = tokio::time::timeout(Duration::from_millis(300), &mut fence).await;
    assert!(early.is_err(), "a writer is under way");
    engine.gap.gate.add_permits(PLENTY);
    fence.await.unwrap();
    erasure.purge(&stage).await.unwrap();
    let after = erasure.verify(&stage).await.unwrap();
    assert!(lines(&after).iter().all(|line| line.3 == 0), "{after:?}");
    assert_eq!(lies_about(folder.path(), "numbat"), (false, false));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_turn_ran_out_of_time_still_holds_up_the_fence() {
    let folder = tempfile::tempdir().unwrap();
    let hasty = |config: &mut Config| config.consumer.handle_timeout_ms = 50;
    let (stage, engine) = Stage::on(folder.path(), hasty, |inner, db| Between::new(inner, db, PLENTY)).await;
    let place = stage.place();
    // What a tenant's first event sets off is done; from now on writes wait.
    let (_, seq) = stage.messaging.say(place, "hello").await;
    stage.search(place, "hello", seq).await;
    engine.gap.gate.forget_permits(PLENTY);
    let before = *engine.gap.waiting.lock().unwrap();
    stage.messaging.say(place, "numbat in flight").await;
    until("a writer under way", || async { *engine.gap.waiting.lock().unwrap() > before }).await;
    let erasure = Erasure::of(place.tenant, place.contact);
    let mut fence = Box::pin(erasure.fence(&stage));
    let early = tokio::time::timeout(Duration::from_secs(1), &mut fence).await;
    assert!(early.is_err(), "the handler gave up, and its write is still under way");
    engine.gap.gate.add_permits(PLENTY);
    fence.await.unwrap();
    erasure.purge(&stage).await.unwrap();
    let after = erasure.verify(&stage).await.unwrap();
    assert!(lines(&after).iter().all(|line| line.3 == 0), "{after:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_shares_a_segment_with_the_erased_does_not_keep_their_words() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(folder.path()).await;
    let (gone, kept) = (stage.place(), stage.place());
    let kept = crate::messaging::Place { tenant: gone.tenant, ..kept };
    stage.messaging.say(gone, "axolotl0gone was cancelling my orders").await;
    let stays_text = "giraffes are staying with us";
    let (stays, seq) = stage.messaging.say(kept, stays_text).await;
    stage.search(kept, "giraffe", seq).await;
    // A segment in which all are deleted goes by itself. One commit of both puts them into one that stays.
    assert_eq!(stage.rebuild(gone.tenant).await, 2);
    let erasure = Erasure::of(gone.tenant, gone.contact);
    erasure.fence(&stage).await.unwrap();
    erasure.purge(&stage).await.unwrap();
    let after = erasure.verify(&stage).await.unwrap();
    assert!(lines(&after).iter().all(|line| line.3 == 0), "{after:?}");
    assert_eq!(lies_about(folder.path(), "axolotl"), (false, false));
    // No stem either: what is left are the neighbour's words, and their stems.
    let mut left = BTreeSet::new();
    let unread = read_folder(folder.path(), &mut |piece| {
        if (piece.field, piece.kind) == ("text", PieceKind::Term) {
            left.insert(String::from_utf8(piece.bytes.to_vec()).unwrap());
        }
    });
    assert_eq!(unread.unwrap().len(), 0);
    let theirs: BTreeSet<String> = analysis::tokens(stays_text).into_iter().map(|token| token.term).collect();
    assert!(theirs.contains("en:giraff"));
    assert_eq!(left, theirs);
    assert_eq!(stage.look(gone.tenant, "giraffe").await, texts(&[stays]));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_conversation_is_read_again_a_page_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let (stage, engine) = Stage::on(folder.path(), |_| {}, |inner, db| Between::new(inner, db, PLENTY)).await;
    let place = stage.place();
    let kept: Vec<_> = (0..450).map(|_| stage.messaging.keep(place, "word").0).collect();
    let (last, seq) = stage.messaging.say(place, "word").await;
    stage.search(place, "word", seq).await;
    let member = lethe_ids::MemberId::new(fresh());
    let seq = stage.messaging.assign(place, member).await;
    stage.search(place, "word", seq).await;
    assert!(*engine.gap.largest.lock().unwrap() <= 200, "no more at once than a page");
    let mut search = crate::support::search("word");
    (search.member, search.limit) = (Some(member), 1_000);
    let found = crate::support::found(&engine.inner, place.tenant, search).await;
    assert_eq!(found.len(), kept.len() + 1, "all have the new assignee");
    assert_eq!(found[0], last);
    stage.stop().await;
}
