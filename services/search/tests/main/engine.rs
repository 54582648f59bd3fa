//! The contract of an engine: filters, order, cursors, versions, tenants apart.

use lethe_ids::{ConversationId, MemberId, TenantId};
use lethe_proto::messaging::Channel;
use lethe_search::engine::{
    Document, Engine, EngineError, FencingToken, Opened, Order, Version, Write, Written,
    tantivy::TantivyEngine,
};

use crate::support::{
    TOKEN, contact, document, found, fresh, neighbours, open, opened, put, reopen, search, tenant,
};

async fn index(engine: &TantivyEngine, tenant: TenantId, documents: &[&Document]) -> Written {
    let written = engine.write(TOKEN, tenant, documents.iter().map(|d| put(d)).collect()).await.unwrap();
    engine.refresh(tenant).await.unwrap();
    written
}

#[tokio::test]
async fn each_filter_narrows_and_all_words_must_occur() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, tenant) = (open(folder.path()), tenant());
    let (author, assigned) = (MemberId::new(fresh()), MemberId::new(fresh()));
    let mut chat = document(contact(), "the parcel is late");
    let mut mail = document(contact(), "the parcel is lost");
    chat.author = Some(author);
    chat.assigned = Some(assigned);
    mail.channel = Channel::Email;
    mail.at += 1;
    index(&engine, tenant, &[&chat, &mail]).await;

    assert_eq!(found(&engine, tenant, search("parcel")).await, [mail.message, chat.message]);
    assert_eq!(found(&engine, tenant, search("parcel late")).await, [chat.message]);
    assert_eq!(found(&engine, tenant, search("parcel absent")).await, []);
    for (narrow, expected) in [
        (narrowed(|s| s.channel = Some(Channel::Email)), vec![mail.message]),
        (narrowed(|s| s.channel = Some(Channel::Sms)), vec![]),
        (narrowed(|s| s.contact = Some(chat.contact)), vec![chat.message]),
        (narrowed(|s| s.conversation = Some(mail.conversation)), vec![mail.message]),
        (narrowed(|s| s.conversation = Some(ConversationId::new(fresh()))), vec![]),
        (narrowed(|s| s.member = Some(author)), vec![chat.message]),
        (narrowed(|s| s.member = Some(assigned)), vec![chat.message]),
        (narrowed(|s| s.from = Some(mail.at)), vec![mail.message]),
        (narrowed(|s| s.until = Some(mail.at)), vec![chat.message]),
        (
            narrowed(|s| (s.from, s.until) = (Some(chat.at), Some(mail.at + 1))),
            vec![mail.message, chat.message],
        ),
    ] {
        assert_eq!(found(&engine, tenant, narrow.clone()).await, expected, "{narrow:?}");
    }
}

fn narrowed(by: impl FnOnce(&mut lethe_search::engine::Search)) -> lethe_search::engine::Search {
    let mut search = search("parcel");
    by(&mut search);
    search
}

#[tokio::test]
async fn a_cursor_goes_through_all_once_while_newer_ones_arrive() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, tenant) = (open(folder.path()), tenant());
    let mut documents: Vec<_> = (0..25).map(|_| document(contact(), "word")).collect();
    for (number, document) in documents.iter_mut().enumerate() {
        // Three at each instant: the id tells them apart.
        document.at += number as i64 / 3;
    }
    for some in documents.chunks(7) {
        index(&engine, tenant, &some.iter().collect::<Vec<_>>()).await;
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let mut page = search("word");
        (page.limit, page.after) = (4, after);
        let hits = engine.search(tenant, page).await.unwrap();
        let mut newer = document(contact(), "word");
        newer.at += 1_000;
        index(&engine, tenant, &[&newer]).await;
        after = hits.last().copied();
        if hits.is_empty() {
            break;
        }
        seen.extend(hits.iter().map(|hit| hit.message));
    }
    let expected: Vec<_> = documents.iter().rev().map(|d| d.message).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn versions_win_over_the_order_of_arrival() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, tenant) = (open(folder.path()), tenant());
    let mut old = document(contact(), "first");
    let mut new = Document { text: "second".to_owned().into(), ..old.clone() };
    new.version.seq = 5;
    let count = |put, unchanged, stale| Written { put, unchanged, stale };

    assert_eq!(index(&engine, tenant, &[&new, &old, &new]).await, count(1, 1, 1), "before a refresh");
    assert_eq!(index(&engine, tenant, &[&old, &new]).await, count(0, 1, 1), "after it");
    assert_eq!(found(&engine, tenant, search("first")).await, []);
    assert_eq!(found(&engine, tenant, search("second")).await, [new.message]);

    // A restore: lower sequences, higher incarnation.
    old.version = Version { incarnation: 2, seq: 1 };
    assert_eq!(index(&engine, tenant, &[&old, &new]).await, count(1, 0, 1));
    assert_eq!(found(&engine, tenant, search("first")).await, [new.message]);
    assert_eq!(found(&engine, tenant, search("second")).await, []);

    // The assignee may change without a new version.
    let assigned = Document { assigned: Some(MemberId::new(fresh())), ..old.clone() };
    assert_eq!(index(&engine, tenant, &[&assigned, &assigned]).await, count(1, 1, 0));

    // A deletion is remembered: an older state does not come back, the same one may (a restriction was lifted).
    engine.write(TOKEN, tenant, vec![Write::Remove(old.message, old.version)]).await.unwrap();
    assert_eq!(index(&engine, tenant, &[&new]).await, count(0, 0, 1));
    assert_eq!(found(&engine, tenant, search("second")).await, []);
    assert_eq!(index(&engine, tenant, &[&old]).await, count(1, 0, 0));
    assert_eq!(found(&engine, tenant, search("first")).await, [old.message]);
}

#[tokio::test]
async fn tenants_of_one_shard_never_meet() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let (ours, theirs) = neighbours(&engine);
    let shared = document(contact(), "secret plan");
    index(&engine, ours, &[&shared]).await;
    // The other tenant's document has the same ids: still another one.
    index(&engine, theirs, &[&Document { text: "open plan".to_owned().into(), ..shared.clone() }]).await;

    assert_eq!(found(&engine, theirs, search("secret")).await, []);
    assert_eq!(found(&engine, ours, search("open")).await, []);
    let mut by_contact = search("plan");
    by_contact.contact = Some(shared.contact);
    assert_eq!(found(&engine, theirs, by_contact).await.len(), 1);

    engine.write(TOKEN, theirs, vec![Write::RemoveContact(shared.contact)]).await.unwrap();
    engine.refresh(theirs).await.unwrap();
    assert_eq!(engine.documents(theirs, None).await.unwrap(), []);
    assert_eq!(engine.documents(ours, Some(shared.contact)).await.unwrap(), [shared.message]);
    engine.write(TOKEN, theirs, vec![Write::RemoveTenant]).await.unwrap();
    assert_eq!(found(&engine, ours, search("secret")).await, [shared.message]);
}

#[tokio::test]
async fn a_lost_lease_writes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, tenant) = (open(folder.path()), tenant());
    let write = vec![put(&document(contact(), "word"))];
    engine.write(FencingToken(7), tenant, write.clone()).await.unwrap();
    let late = engine.write(FencingToken(6), tenant, write.clone()).await;
    assert!(matches!(late, Err(EngineError::Fenced)));
    engine.write(FencingToken(7), tenant, write.clone()).await.unwrap();
    engine.write(FencingToken(8), tenant, Vec::new()).await.unwrap();
    let late = engine.write(FencingToken(7), tenant, write).await;
    assert!(matches!(late, Err(EngineError::Fenced)), "nothing was written under the new lease yet");
}

#[tokio::test]
async fn a_folder_is_known_again_and_a_wiped_or_damaged_one_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, was) = opened(folder.path());
    assert_eq!(was, Opened::Empty);
    assert!(reopen(folder.path()).is_err(), "it is open already");
    let (tenant, id) = (tenant(), engine.id());
    let document = document(contact(), "word");
    index(&engine, tenant, &[&document]).await;
    drop(engine);

    let (engine, was) = opened(folder.path());
    assert_eq!((was, engine.id()), (Opened::Whole, id), "killed, and the machine went on");
    assert_eq!(found(&engine, tenant, search("word")).await, [document.message]);
    engine.close().await.unwrap();
    drop(engine);

    let mark = folder.path().join("mark.json");
    let other_boot = |mark: &std::path::Path| {
        let text = std::fs::read_to_string(mark).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value["boot"] = "another".into();
        std::fs::write(mark, value.to_string()).unwrap();
    };
    other_boot(&mark);
    let (engine, was) = opened(folder.path());
    assert_eq!((was, engine.id()), (Opened::Unsure, id), "the power went away");
    assert_eq!(found(&engine, tenant, search("word")).await, [document.message]);
    let shard = folder.path().join(format!("shard-{}", engine.shard(tenant)));
    drop(engine);

    other_boot(&mark);
    let damaged = std::fs::read_dir(shard).unwrap().map(|entry| entry.unwrap().path());
    let damaged = damaged.filter(|path| path.extension().is_some_and(|e| e == "pos" || e == "idx"));
    damaged.for_each(|path| std::fs::write(path, b"").unwrap());
    let (engine, was) = opened(folder.path());
    assert_eq!(was, Opened::Empty, "the power went away with a file");
    assert_ne!(engine.id(), id);
    assert_eq!(found(&engine, tenant, search("word")).await, []);
    drop(engine);

    std::fs::remove_dir_all(folder.path().join("shard-3")).unwrap();
    assert_eq!(opened(folder.path()).1, Opened::Empty, "wiped");
    let other = TantivyEngine::open(folder.path(), Some(fresh()), fresh()).unwrap();
    assert_eq!(other.1, Opened::Empty, "not the one that the database knows");
}

#[tokio::test]
async fn the_most_relevant_first_and_no_other_tenant_moves_them() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let (ours, theirs) = neighbours(&engine);
    // Older ones are better, so that time alone would turn them round.
    let texts = [
        "late parcel",
        "my parcel is late, the late parcel from Monday, and I have been waiting here for it since noon",
        "the parcel that came late",
        "two parcels were later than we had been told by the people who were to bring them to us at noon",
    ];
    let mut documents: Vec<_> = texts.iter().map(|text| document(contact(), text)).collect();
    for (number, document) in documents.iter_mut().enumerate() {
        document.at += number as i64;
    }
    index(&engine, ours, &documents.iter().collect::<Vec<_>>()).await;
    let best = || {
        let mut best = search("late parcel");
        best.order = Order::Relevance;
        best
    };
    let hits = engine.search(ours, best()).await.unwrap();
    let order: Vec<_> = hits.iter().map(|hit| hit.message).collect();
    assert_eq!(order[0], documents[0].message, "nothing else, and in a row");
    assert_eq!(order.len(), 3, "later is no late");
    // A cursor goes through all, one by one.
    let mut after = None;
    for hit in &hits {
        let mut page = best();
        (page.limit, page.after) = (1, after);
        let found = engine.search(ours, page).await.unwrap();
        assert_eq!(found, [*hit]);
        after = Some(*hit);
    }
    // A neighbour's words in the same shard, and segments merged, change no rank.
    for _ in 0..20 {
        index(
            &engine,
            theirs,
            &[&document(contact(), "late late parcel word"), &document(contact(), "late")],
        )
        .await;
    }
    engine.expunge(engine.shard(ours)).await.unwrap();
    assert_eq!(engine.search(ours, best()).await.unwrap(), hits);
    // By time, as ever.
    let newest = found(&engine, ours, search("late parcel")).await;
    assert_eq!(newest, [documents[2].message, documents[1].message, documents[0].message]);
}
