//! JetStream: its messages, and its files, compressed with S2.

use async_nats::{HeaderMap, jetstream::stream};
use lethe_leftovers::{Search, Tokens};
use lethe_testkit::nats;

#[tokio::test]
async fn messages_are_found_by_the_reader_and_in_the_files() {
    let server = nats().await;
    let context = server.connect("leftovers").await.jetstream().clone();
    let plain = stream::Config {
        name: "PLAIN".to_owned(),
        subjects: vec!["plain.>".to_owned()],
        ..Default::default()
    };
    let packed = stream::Config {
        name: "PACKED".to_owned(),
        subjects: vec!["packed.>".to_owned()],
        compression: Some(stream::Compression::S2),
        ..Default::default()
    };
    context.create_stream(plain).await.unwrap();
    context.create_stream(packed).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("note", "zq0b1f3c55-in-a-header");
    context.publish("plain.zq9d8c7b6a-subject", "zq5e6f7a8b-payload".into()).await.unwrap().await.unwrap();
    context.publish_with_headers("plain.x", headers, "nothing".into()).await.unwrap().await.unwrap();
    let deleted = context.publish("plain.y", "zq4c4c4c4c-deleted".into()).await.unwrap().await.unwrap();
    context.get_stream("PLAIN").await.unwrap().delete_message(deleted.sequence).await.unwrap();
    // Blocks are packed when they are full.
    let filler = "words that come again and again, ".repeat(2000);
    for number in 0..160 {
        let text = format!("{filler} zq2a3b4c5d-packed-{number:03} {filler}");
        context.publish("packed.x", text.into()).await.unwrap().await.unwrap();
    }

    let tokens = Tokens::new([
        ("subject", "zq9d8c7b6a-subject"),
        ("payload", "zq5e6f7a8b-payload"),
        ("header", "zq0b1f3c55-in-a-header"),
        ("packed", "zq2a3b4c5d-packed-003"),
        ("deleted", "zq4c4c4c4c-deleted"),
    ])
    .unwrap();
    let search = Search::new(&tokens);
    search.jetstream("messages", &context).await.unwrap();
    search.folder("files", &server.data());
    let report = search.report();
    for store in ["messages", "files"] {
        for label in ["subject", "payload", "header", "packed"] {
            assert!(report.of(label).any(|finding| finding.place.store == store), "{label} in the {store}");
        }
        // A single deletion overwrites, without encryption.
        assert!(!report.of("deleted").any(|finding| finding.place.store == store), "deleted in the {store}");
    }
    let in_files = report.of("packed").find(|finding| finding.place.store == "files").unwrap();
    assert!(in_files.place.path.contains("s2@"), "{}", in_files.place);
    assert_eq!(report.looked.messages, 162);
    assert_eq!(report.unread, []);
}
