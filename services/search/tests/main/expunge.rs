//! What is deleted is gone from the files, by the byte: looked for in the raw files and through the segment reader,
//! since a plain scan of an index lies.

use lethe_search::engine::{Document, Engine, Expunged, Wanted, Write};

use crate::support::{
    TOKEN, contact, document, files, found, lies_about, neighbours, open, put, search, tenant,
};

#[tokio::test]
async fn the_bytes_of_a_contact_go_and_the_neighbours_stay() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let (ours, theirs) = neighbours(&engine);
    let (gone, kept) = (contact(), contact());
    let tokens: Vec<String> = (0..50).map(|number| format!("zebra{number:04}quagga")).collect();
    let mut census = Vec::new();
    for some in tokens.chunks(10) {
        let documents: Vec<Document> =
            some.iter().map(|token| document(gone, &format!("hi {token}"))).collect();
        census.extend(documents.iter().map(|document| document.message));
        engine.write(TOKEN, ours, documents.iter().map(put).collect()).await.unwrap();
        engine.write(TOKEN, ours, vec![put(&document(kept, "giraffe kept"))]).await.unwrap();
        engine.write(TOKEN, theirs, vec![put(&document(gone, "okapi kept"))]).await.unwrap();
        engine.refresh(ours).await.unwrap();
    }
    assert!(tokens.iter().all(|token| lies_about(folder.path(), token).1), "the reader sees them all");
    let wanted = Wanted { contacts: vec![gone], messages: census.clone(), ..Wanted::default() };
    assert_eq!(engine.scan(ours, wanted.clone()).await.unwrap().found, 51);

    // A search that goes on meanwhile does not keep anything.
    let searching = engine.search(ours, search("zebra0001quagga"));
    engine.write(TOKEN, ours, vec![Write::RemoveContact(gone)]).await.unwrap();
    assert_eq!(found(&engine, ours, search("hi")).await, []);
    assert!(lies_about(folder.path(), &tokens[0]).1, "a delete alone removes nothing");
    let scanned = engine.scan(ours, wanted.clone()).await.unwrap();
    assert!(scanned.found > 0, "{scanned:?}");
    let shard = engine.shard(ours);
    assert!(engine.expunge(shard).await.unwrap().documents >= 50);
    drop(searching);

    for token in &tokens {
        assert_eq!(lies_about(folder.path(), token), (false, false), "{token}");
    }
    let scanned = engine.scan(ours, wanted).await.unwrap();
    assert_eq!((scanned.found, scanned.stray_files), (0, 0));
    assert!(scanned.terms > 0 && scanned.segments > 0);
    assert_eq!(found(&engine, ours, search("giraffe")).await.len(), 5);
    assert_eq!(found(&engine, theirs, search("okapi")).await.len(), 5);
    assert_eq!(engine.expunge(shard).await.unwrap(), Expunged::default(), "nothing is left to do");
}

#[tokio::test]
async fn an_edited_text_goes_too_and_so_does_what_was_never_refreshed() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, tenant) = (open(folder.path()), tenant());
    let mut message = document(contact(), "original aardvark");
    engine.write(TOKEN, tenant, vec![put(&message)]).await.unwrap();
    engine.refresh(tenant).await.unwrap();
    message.version.seq = 2;
    message.text = "edited".to_owned().into();
    let fleeting = document(contact(), "fleeting numbat");
    let writes = vec![put(&message), put(&fleeting), Write::Remove(fleeting.message, fleeting.version)];
    engine.write(TOKEN, tenant, writes).await.unwrap();
    engine.expunge(engine.shard(tenant)).await.unwrap();
    assert_eq!(lies_about(folder.path(), "aardvark"), (false, false));
    assert_eq!(lies_about(folder.path(), "numbat"), (false, false));
    assert_eq!(found(&engine, tenant, search("edited")).await, [message.message]);
}

#[tokio::test]
async fn a_scan_finds_a_segment_that_was_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, tenant) = (open(folder.path()), tenant());
    let message = document(contact(), "left behind");
    engine.write(TOKEN, tenant, vec![put(&message)]).await.unwrap();
    engine.refresh(tenant).await.unwrap();
    let kept: Vec<_> =
        files(folder.path()).into_iter().map(|f| (f.clone(), std::fs::read(f).unwrap())).collect();
    engine.write(TOKEN, tenant, vec![Write::RemoveContact(message.contact)]).await.unwrap();
    engine.expunge(engine.shard(tenant)).await.unwrap();
    let wanted =
        Wanted { contacts: vec![message.contact], messages: vec![message.message], ..Wanted::default() };
    assert_eq!(engine.scan(tenant, wanted.clone()).await.unwrap().found, 0);
    for (path, bytes) in kept {
        if !path.exists() {
            std::fs::write(path, bytes).unwrap();
        }
    }
    let scanned = engine.scan(tenant, wanted).await.unwrap();
    assert_eq!(scanned.found, 2);
    assert!(scanned.stray_files > 0);
    // The next start removes them.
    drop(engine);
    let engine = open(folder.path());
    assert_eq!(engine.scan(tenant, Wanted::default()).await.unwrap().stray_files, 0);
    assert_eq!(lies_about(folder.path(), "behind"), (false, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_amid_writes_and_merges_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, tenant) = (open(folder.path()), tenant());
    let mut left = Vec::new();
    for round in 0..60 {
        let (kept, gone) = (document(contact(), "kept"), document(contact(), &format!("tapir{round}x")));
        engine.write(TOKEN, tenant, vec![put(&kept), put(&gone)]).await.unwrap();
        engine.refresh(tenant).await.unwrap();
        engine.write(TOKEN, tenant, vec![Write::Remove(gone.message, gone.version)]).await.unwrap();
        left.push(kept.message);
    }
    engine.expunge(engine.shard(tenant)).await.unwrap();
    for round in 0..60 {
        assert_eq!(lies_about(folder.path(), &format!("tapir{round}x")), (false, false), "{round}");
    }
    assert_eq!(engine.documents(tenant, None).await.unwrap(), left);
}
