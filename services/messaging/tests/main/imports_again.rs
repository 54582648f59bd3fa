//! Imports that are cut off, come again, meet an erasure, are left alone, or are somebody else's.

use std::time::Duration;

use lethe_messaging::ImportsConfig;
use lethe_proto::{
    messaging::{
        CreateImportRequest, Direction, FinishImportRequest, GetImportRequest, ImportState, ImportedContact,
        ImportedConversation, ListConversationsRequest, ListImportsRequest, ListRefusedRowsRequest,
        RefusedRow, import_row::Row, import_service_client::ImportServiceClient,
    },
    request::Idempotency,
};

use crate::{
    imports::{begin, chunk, count, get, imports, look_up, person, put, report, said, talk, try_put},
    stage::{Stage, field, page, reason},
};

/// Long enough for a machine with much else to do.
const LIMIT: Duration = Duration::from_secs(30);

async fn until(what: &str, is: impl AsyncFn() -> bool) {
    let waited = tokio::time::timeout(LIMIT, async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}

#[tokio::test]
async fn a_chunk_may_come_again_and_none_out_of_its_order() {
    let mut stage = Stage::with(|config| {
        (config.imports.chunk_rows, config.imports.most_lines, config.imports.most_open) = (3, 6, 2);
    })
    .await;
    let create = CreateImportRequest { idempotency: Some(Idempotency { key: "i-1".into() }) };
    let import = imports(&stage).create_import(create.clone()).await.unwrap().into_inner();
    let again = imports(&stage).create_import(create).await.unwrap().into_inner();
    assert_eq!(import, again);
    let row = |key: &str| Row::Contact(person(key));
    let bad = || Row::Contact(ImportedContact { key: String::new(), ..person("x") });
    let first = try_put(&stage, &import, 1, vec![row("a"), bad(), row("b")]).await.unwrap();
    let again = try_put(&stage, &import, 1, vec![row("a"), bad(), row("b")]).await.unwrap();
    assert_eq!(first, again);
    assert_eq!((count(&stage, "contacts").await, report(&stage, &import).await.len()), (2, 1));
    for (number, rows, code) in [
        (1, vec![row("c")], "IMPORT_CHUNK_DIFFERS"),
        (3, vec![row("c")], "IMPORT_CHUNK_OUT_OF_ORDER"),
        (0, vec![row("c")], "IMPORT_CHUNK_OUT_OF_ORDER"),
        (u32::MAX, vec![row("c")], "IMPORT_CHUNK_OUT_OF_ORDER"),
        (2, (0..4).map(|_| row("c")).collect(), "FIELD_INVALID"),
    ] {
        let refused = try_put(&stage, &import, number, rows).await.unwrap_err();
        assert_eq!(reason(&refused), code, "{number}");
    }
    stage.advance(Duration::from_millis(1));
    // The row `a` is known, in another import too; what it would say now changes nothing.
    let other = begin(&stage).await;
    let mut renamed = person("a");
    renamed.profile.as_mut().unwrap().name = "Changed".into();
    assert_eq!(put(&stage, &other, 1, vec![Row::Contact(renamed), row("d")]).await, (1, 1, 0));
    assert_eq!(look_up(&stage, "a@example.org").await[0].profile.as_ref().unwrap().name, "Person a");
    let request = CreateImportRequest { idempotency: None };
    let refused = imports(&stage).create_import(request).await.unwrap_err();
    assert_eq!(reason(&refused), "TOO_MANY_IMPORTS");
    // Twice in one chunk.
    assert_eq!(put(&stage, &import, 2, vec![row("e"), row("e")]).await, (1, 1, 0));
    let refused = try_put(&stage, &import, 3, vec![row("f"), row("g")]).await.unwrap_err();
    assert_eq!(reason(&refused), "TOO_MANY_LINES");
    let mut unordered = chunk(&import, 3, vec![row("f")]);
    unordered.rows[0].line = 2;
    let refused = imports(&stage).put_import_chunk(unordered).await.unwrap_err();
    assert_eq!(field(&refused), "rows.line");

    let finish = FinishImportRequest { import_id: import.import_id.clone() };
    let finished = imports(&stage).finish_import(finish.clone()).await.unwrap().into_inner();
    assert_eq!((finished.state(), finished.finished_at.is_some()), (ImportState::Finished, true));
    assert_eq!(imports(&stage).finish_import(finish).await.unwrap().into_inner(), finished);
    let refused = try_put(&stage, &import, 3, vec![row("f")]).await.unwrap_err();
    assert_eq!(reason(&refused), "IMPORT_ENDED");
    assert!(
        try_put(&stage, &import, 2, vec![row("e"), row("e")]).await.is_ok(),
        "its last chunk may still come"
    );
    let listed = ListImportsRequest { page: page(1, bytes::Bytes::new()) };
    let listed = imports(&stage).list_imports(listed).await.unwrap().into_inner();
    assert_eq!(listed.imports[0].import_id, other.import_id);
    let rest = ListImportsRequest { page: page(1, listed.next) };
    assert_eq!(imports(&stage).list_imports(rest).await.unwrap().into_inner().imports, vec![finished]);
}

#[tokio::test]
async fn a_chunk_that_was_cut_off_is_done_to_its_end_and_told_as_if_it_had_not_been() {
    let stage = Stage::with(|config| config.imports.concurrency = 1).await;
    let import = begin(&stage).await;
    assert_eq!(put(&stage, &import, 1, vec![Row::Contact(person("ada"))]).await, (1, 0, 0));
    let ada = look_up(&stage, "ada@example.org").await.pop().unwrap();
    let messages = || vec![said("1", Direction::Inbound, "one", 0), said("2", Direction::Inbound, "two", 1)];
    let rows = || {
        let bad = Row::Contact(ImportedContact { key: String::new(), ..person("x") });
        let mut rows: Vec<Row> = (0..8).map(|n| Row::Contact(person(&format!("p{n}")))).collect();
        rows.extend([bad, Row::Conversation(talk("s", "p0", messages()))]);
        rows.push(Row::Conversation(talk("t", "ada", messages())));
        rows
    };
    // The last row waits for ada's head: then nobody waits for the answer any more.
    let held = stage.hold(&ada).await;
    tokio::select! {
        done = try_put(&stage, &import, 2, rows()) => panic!("nobody waited: {done:?}"),
        () = stage.somebody_waits() => {}
    }
    let there = get(&stage, &import).await.unwrap();
    assert_eq!((there.next_chunk, there.imported), (2, 1), "what was not acknowledged is not counted");
    assert_eq!(count(&stage, "contacts").await, 9);
    drop(held);

    let done = try_put(&stage, &import, 2, rows()).await.unwrap();
    assert_eq!((done.imported, done.already_there, done.refused), (10, 0, 1));
    assert_eq!(done.import.as_ref().unwrap().next_chunk, 3);
    assert_eq!(
        (
            count(&stage, "contacts").await,
            count(&stage, "conversations").await,
            count(&stage, "messages").await
        ),
        (9, 2, 4)
    );
    let told: Vec<u64> = report(&stage, &import).await.iter().map(|row| row.line).collect();
    assert_eq!(told, [10]);
}

#[tokio::test]
async fn the_same_chunk_at_the_same_time_goes_in_once() {
    let stage = Stage::new().await;
    let import = begin(&stage).await;
    let rows = || {
        let mut rows: Vec<Row> = (0..6).map(|n| Row::Contact(person(&format!("p{n}")))).collect();
        let messages = vec![said("1", Direction::Inbound, "one", 0)];
        rows.push(Row::Conversation(talk("t", "p0", messages)));
        rows
    };
    let puts = futures::future::join_all((0..4).map(|_| try_put(&stage, &import, 1, rows()))).await;
    let told: Vec<_> = puts.into_iter().flatten().map(|one| (one.imported, one.already_there)).collect();
    assert!(!told.is_empty() && told.iter().all(|one| *one == (7, 0)), "{told:?}");
    assert_eq!((count(&stage, "contacts").await, count(&stage, "messages").await), (6, 1));
    assert_eq!(get(&stage, &import).await.unwrap().imported, 7);
}

#[tokio::test]
async fn an_erased_contact_is_not_brought_back_and_its_keys_say_nothing() {
    let stage = Stage::with(|config| config.erasure.batch = 2).await;
    let import = begin(&stage).await;
    let messages = || vec![said("1", Direction::Inbound, "one", 0), said("2", Direction::Inbound, "two", 1)];
    let rows = vec![
        Row::Contact(person("ada")),
        Row::Contact(person("bob")),
        Row::Conversation(talk("a", "ada", messages())),
        Row::Conversation(talk("b", "bob", messages())),
    ];
    assert_eq!(put(&stage, &import, 1, rows).await, (4, 0, 0));
    let ada = look_up(&stage, "ada@example.org").await.pop().unwrap();
    let scope = stage.scope(&ada);
    let fenced = stage.fence(&scope).await;
    let keys = fenced.tallies.iter().find(|tally| tally.kind == "import_keys").unwrap();
    assert_eq!(keys.count, 4, "hers, her conversation's, two messages'");
    let behind = || {
        vec![
            Row::Contact(person("ada")),
            Row::Conversation(talk("a", "ada", messages())),
            Row::Conversation(talk("n", "ada", messages())),
            Row::Conversation(ImportedConversation {
                contact_id: ada.contact_id.clone(),
                ..talk("o", "", messages())
            }),
        ]
    };
    let refused = |rows: Vec<RefusedRow>| -> Vec<String> { rows.into_iter().map(|row| row.code).collect() };
    assert_eq!(put(&stage, &import, 2, behind()).await, (0, 0, 4));
    let codes = refused(report(&stage, &import).await);
    assert_eq!(codes, ["CONTACT_GONE", "CONVERSATION_GONE", "CONTACT_NOT_FOUND", "CONTACT_NOT_FOUND"]);
    stage.purge(&scope).await;
    let found = stage.verify(&scope).await;
    let of_keys: Vec<_> = found.iter().filter(|one| one.kind == "import_keys").collect();
    assert_eq!((of_keys[0].looked_for, of_keys[0].found), (4, 0));
    assert_eq!((count(&stage, "import_keys").await, count(&stage, "gone_import_keys").await), (4, 2));
    assert_eq!(put(&stage, &import, 3, behind()).await, (0, 0, 4));
    let codes = refused(report(&stage, &import).await.split_off(4));
    assert_eq!(codes, ["CONTACT_GONE", "CONTACT_GONE", "CONTACT_GONE", "CONTACT_NOT_FOUND"]);
    assert!(look_up(&stage, "ada@example.org").await.is_empty());

    // A conversation alone: bob stays, and can have others.
    let bob = look_up(&stage, "bob@example.org").await.pop().unwrap();
    let of = ListConversationsRequest { contact_id: bob.contact_id.clone(), ..Default::default() };
    let listed = stage.conversations().list_conversations(of).await.unwrap().into_inner().conversations;
    let mut scope = stage.scope(&bob);
    scope.mode = lethe_proto::erasure::Mode::Conversation.into();
    scope.conversation_ids = vec![listed[0].conversation_id.clone()];
    stage.fence(&scope).await;
    stage.purge(&scope).await;
    assert!(stage.verify(&scope).await.iter().all(|one| one.found == 0));
    let rows = vec![
        Row::Contact(person("bob")),
        Row::Conversation(talk("b", "bob", messages())),
        Row::Conversation(talk("n", "bob", messages())),
    ];
    assert_eq!(put(&stage, &import, 4, rows).await, (1, 1, 1));
    assert_eq!(report(&stage, &import).await.last().unwrap().code, "CONVERSATION_GONE");
}

#[tokio::test]
async fn imports_that_nobody_goes_on_with_end_and_old_ones_are_forgotten() {
    let mut stage = Stage::with(|config| {
        config.imports = ImportsConfig { sweep_interval_s: 1, sweep_batch: 2, ..config.imports.clone() };
    })
    .await;
    let (import, live) = (begin(&stage).await, begin(&stage).await);
    let bad = || Row::Contact(ImportedContact { key: String::new(), ..person("x") });
    let rows = vec![bad(), bad(), bad(), Row::Contact(person("ada"))];
    assert_eq!(put(&stage, &import, 1, rows).await, (1, 0, 3));
    stage.advance(Duration::from_secs(71 * 3_600));
    assert_eq!(put(&stage, &live, 1, vec![Row::Contact(person("bob"))]).await, (1, 0, 0));
    stage.advance(Duration::from_secs(2 * 3_600));
    until("the idle one has expired", async || {
        get(&stage, &import).await.unwrap().state() == ImportState::Expired
    })
    .await;
    assert_eq!(get(&stage, &live).await.unwrap().state(), ImportState::Open);
    assert_eq!(reason(&try_put(&stage, &import, 2, vec![bad()]).await.unwrap_err()), "IMPORT_ENDED");
    stage.advance(Duration::from_secs(31 * 86_400));
    until("it is gone with its report", async || {
        count(&stage, "refused_rows").await == 0 && get(&stage, &import).await.is_err()
    })
    .await;
    assert_eq!(count(&stage, "import_keys").await, 2, "keys are remembered longer");
    let ada = look_up(&stage, "ada@example.org").await.pop().unwrap();
    let scope = stage.scope(&ada);
    stage.fence(&scope).await;
    stage.purge(&scope).await;
    assert_eq!(count(&stage, "gone_import_keys").await, 1);
    stage.advance(Duration::from_secs(60 * 86_400));
    until("keys are forgotten", async || {
        count(&stage, "import_keys").await + count(&stage, "gone_import_keys").await == 0
    })
    .await;
}

#[tokio::test]
async fn an_import_is_its_tenants_alone() {
    let stage = Stage::new().await;
    let import = begin(&stage).await;
    let bad = || Row::Contact(ImportedContact { key: String::new(), ..person("x") });
    assert_eq!(put(&stage, &import, 1, vec![Row::Contact(person("ada")), bad()]).await, (1, 0, 1));
    let channel = stage.world.client("gateway", "messaging", Some(stage.foreigner()));
    let mut them = ImportServiceClient::new(channel);
    let import_id = import.import_id.clone();
    let refusals = [
        them.get_import(GetImportRequest { import_id: import_id.clone() }).await.map(drop),
        them.put_import_chunk(chunk(&import, 2, vec![bad()])).await.map(drop),
        them.finish_import(FinishImportRequest { import_id: import_id.clone() }).await.map(drop),
        them.list_refused_rows(ListRefusedRowsRequest { import_id, page: None }).await.map(drop),
    ]
    .map(|answer| reason(&answer.unwrap_err()));
    assert_eq!(refusals, [const { "IMPORT_NOT_FOUND" }; 4]);
    let listed = them.list_imports(ListImportsRequest { page: None }).await.unwrap().into_inner();
    assert!(listed.imports.is_empty());
    // The same key of another tenant is another person's.
    let theirs = them.create_import(CreateImportRequest { idempotency: None }).await.unwrap().into_inner();
    let rows = vec![
        Row::Contact(person("ada")),
        Row::Conversation(talk("t", "bob", vec![said("1", Direction::Inbound, "one", 0)])),
    ];
    let taken = them.put_import_chunk(chunk(&theirs, 1, rows)).await.unwrap().into_inner();
    assert_eq!((taken.imported, taken.refused), (1, 1));
    let macs: i64 = sqlx::query_scalar("select count(distinct key_mac) from import_keys")
        .fetch_one(&mut stage.superuser().await)
        .await
        .unwrap();
    assert_eq!(macs, 2, "each tenant has a key of its own");
    let mine = look_up(&stage, "ada@example.org").await;
    assert_eq!(mine.len(), 1);
    let talks = ImportedConversation {
        contact_id: mine[0].contact_id.clone(),
        ..talk("t", "", vec![said("1", Direction::Inbound, "one", 0)])
    };
    let foreign = them.put_import_chunk(chunk(&theirs, 2, vec![Row::Conversation(talks)])).await.unwrap();
    assert_eq!(foreign.into_inner().refused, 1);
}
