//! ImportService: rows go in once, keep their times, and are refused without a word of what stood in them.

use std::collections::BTreeMap;

use lethe_proto::{
    messaging::{
        BanContactRequest, Contact, ConversationStatus, CreateContactRequest, CreateImportRequest,
        DeliveryState, Direction, GetImportRequest, Import, ImportChunk, ImportRow, ImportState,
        ImportedConsent, ImportedContact, ImportedConversation, ImportedMessage, ListConsentsRequest,
        ListConversationsRequest, ListMessagesRequest, ListRefusedRowsRequest, LookUpContactsRequest,
        Message, OptOutContactRequest, Profile, PutImportChunkRequest, RefusedRow, RestrictContactRequest,
        UnreadableRow, import_row::Row, import_service_client::ImportServiceClient,
        look_up_contacts_request::By,
    },
    request::Idempotency,
};
use lethe_service::{PeerChannel, timestamp};
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;
use tonic::Status;

use crate::stage::{Stage, page};

/// 2020-01-01, and so many seconds after.
const THEN: i64 = 1_577_836_800;

pub(crate) fn imports(stage: &Stage) -> ImportServiceClient<PeerChannel> {
    ImportServiceClient::new(stage.channel())
}

pub(crate) async fn begin(stage: &Stage) -> Import {
    let request = CreateImportRequest { idempotency: None };
    imports(stage).create_import(request).await.unwrap().into_inner()
}

pub(crate) async fn get(stage: &Stage, import: &Import) -> Result<Import, Status> {
    let request = GetImportRequest { import_id: import.import_id.clone() };
    imports(stage).get_import(request).await.map(tonic::Response::into_inner)
}

pub(crate) fn chunk(import: &Import, number: u32, rows: Vec<Row>) -> PutImportChunkRequest {
    let lines = u32::try_from(rows.len()).unwrap();
    let rows = (1..).zip(rows).map(|(line, row)| ImportRow { line, row: Some(row) }).collect();
    PutImportChunkRequest { import_id: import.import_id.clone(), number, lines, rows }
}

pub(crate) async fn try_put(
    stage: &Stage,
    import: &Import,
    number: u32,
    rows: Vec<Row>,
) -> Result<ImportChunk, Status> {
    imports(stage).put_import_chunk(chunk(import, number, rows)).await.map(tonic::Response::into_inner)
}

/// What a chunk came to: imported, already there, refused.
pub(crate) async fn put(stage: &Stage, import: &Import, number: u32, rows: Vec<Row>) -> (u32, u32, u32) {
    let chunk = try_put(stage, import, number, rows).await.unwrap();
    (chunk.imported, chunk.already_there, chunk.refused)
}

pub(crate) async fn report(stage: &Stage, import: &Import) -> Vec<RefusedRow> {
    let mut rows = Vec::new();
    let mut after = bytes::Bytes::new();
    loop {
        let request =
            ListRefusedRowsRequest { import_id: import.import_id.clone(), page: page(3, after.clone()) };
        let answer = imports(stage).list_refused_rows(request).await.unwrap().into_inner();
        rows.extend(answer.rows);
        if answer.next.is_empty() {
            return rows;
        }
        after = answer.next;
    }
}

pub(crate) fn person(key: &str) -> ImportedContact {
    let profile =
        Profile { name: format!("Person {key}"), email: format!("{key}@example.org"), ..Profile::default() };
    ImportedContact { key: key.into(), profile: Some(profile), opted_out: false, consents: Vec::new() }
}

pub(crate) fn said(key: &str, direction: Direction, text: &str, after: i64) -> ImportedMessage {
    ImportedMessage {
        key: key.into(),
        direction: direction.into(),
        text: text.into(),
        sent_at: Some(timestamp(then(after))),
        member_id: String::new(),
    }
}

pub(crate) fn talk(key: &str, with: &str, messages: Vec<ImportedMessage>) -> ImportedConversation {
    ImportedConversation {
        key: key.into(),
        contact_key: with.into(),
        channel: 3,
        messages,
        ..ImportedConversation::default()
    }
}

fn then(after: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(THEN + after).unwrap()
}

pub(crate) async fn look_up(stage: &Stage, email: &str) -> Vec<Contact> {
    let request = LookUpContactsRequest { by: Some(By::Email(email.into())), page: None };
    stage.contacts().look_up_contacts(request).await.unwrap().into_inner().contacts
}

pub(crate) async fn count(stage: &Stage, table: &str) -> i64 {
    let statement = format!("select count(*) from {table}");
    sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&mut stage.superuser().await).await.unwrap()
}

#[tokio::test]
async fn put_import_chunk_makes_contacts_as_create_contact_does() {
    let stage = Stage::new().await;
    let listed = stage.create(person("listed").profile.unwrap()).await;
    let opt_out = OptOutContactRequest { contact_id: listed.contact_id };
    stage.contacts().opt_out_contact(opt_out).await.unwrap();
    let sharer = stage.create(person("left").profile.unwrap()).await;
    let import = begin(&stage).await;
    assert_eq!((import.next_chunk, import.state()), (1, ImportState::Open));
    let consent = ImportedConsent { purpose: 2, act: 1, source: "form".into(), at: Some(timestamp(then(0))) };
    let rows = vec![
        Row::Contact(ImportedContact { consents: vec![consent], ..person("ada") }),
        Row::Contact(person("listed")),
        Row::Contact(ImportedContact { opted_out: true, ..person("left") }),
    ];
    assert_eq!(put(&stage, &import, 1, rows).await, (3, 0, 0));

    let ada = look_up(&stage, "ada@example.org").await.pop().unwrap();
    assert_eq!((ada.profile.unwrap().name.as_str(), ada.opted_out), ("Person ada", false));
    let request = ListConsentsRequest { contact_id: ada.contact_id, page: None };
    let consents = stage.contacts().list_consents(request).await.unwrap().into_inner().consents;
    assert_eq!((consents.len(), consents[0].at.unwrap().seconds), (1, THEN));
    // A listed address stays so, and one that opted out elsewhere is listed, for whoever has it.
    assert!(look_up(&stage, "listed@example.org").await.iter().all(|contact| contact.opted_out));
    assert!(stage.get(&sharer.contact_id).await.opted_out);
    let audits: i64 = sqlx::query_scalar(
        "select count(*) from outbox where kind = 'messaging.audit.recorded' and position('PutImportChunk' in payload::text) > 0
            or kind = 'messaging.audit.recorded' and position(convert_to('PutImportChunk', 'utf8') in payload) > 0",
    )
    .fetch_one(&mut stage.superuser().await)
    .await
    .unwrap();
    assert!(audits >= 3, "each is in the audit trail: {audits}");
}

#[tokio::test]
async fn put_import_chunk_keeps_what_was_said_when() {
    let stage = Stage::new().await;
    let import = begin(&stage).await;
    let member = "mem_01998f2ac3e47b0f8a5d2f60b1c9e7aa";
    let month = 40 * 86_400;
    let messages = vec![
        said("1", Direction::Inbound, "Where is it?", 0),
        ImportedMessage { member_id: member.into(), ..said("2", Direction::Outbound, "On its way", month) },
    ];
    let resolved = ImportedConversation {
        status: ConversationStatus::Resolved.into(),
        ..talk("t", "ada", messages.clone())
    };
    // In one chunk, whichever comes first.
    let rows = vec![Row::Conversation(resolved.clone()), Row::Contact(person("ada"))];
    assert_eq!(put(&stage, &import, 1, rows).await, (2, 0, 0));

    let ada = look_up(&stage, "ada@example.org").await.pop().unwrap();
    let of = ListConversationsRequest { contact_id: ada.contact_id.clone(), ..Default::default() };
    let mut listed = stage.conversations().list_conversations(of).await.unwrap().into_inner().conversations;
    let conversation = listed.pop().unwrap();
    assert!(listed.is_empty());
    assert_eq!(conversation.status(), ConversationStatus::Resolved);
    assert_eq!((conversation.resolutions, conversation.unread), (1, false));
    assert_eq!(conversation.created_at.unwrap().seconds, THEN);
    assert_eq!(conversation.last_message_at.unwrap().seconds, THEN + month);
    let all = ListConversationsRequest { status: 2, ..Default::default() };
    let all = stage.conversations().list_conversations(all).await.unwrap().into_inner().conversations;
    assert_eq!(all, vec![conversation.clone()], "in the tenant's list, too");
    let kept = listed_messages(&stage, &conversation.conversation_id).await;
    let seen: Vec<_> = kept
        .iter()
        .map(|one| {
            (one.direction(), one.text.as_str(), one.created_at.unwrap().seconds - THEN, one.delivery())
        })
        .collect();
    assert_eq!(
        seen,
        [
            (Direction::Inbound, "Where is it?", 0, DeliveryState::Unspecified),
            (Direction::Outbound, "On its way", month, DeliveryState::Sent),
        ]
    );
    assert_eq!((kept[1].member_id.as_str(), kept[1].sent_at.unwrap().seconds), (member, THEN + month));

    // It goes on in another row; what is there already is left as it is.
    let mut more = messages;
    more[0].text = "Changed".into();
    more.push(said("3", Direction::Inbound, "Thanks", month + 1));
    let rows = vec![
        Row::Conversation(talk("t", "ada", more.clone())),
        Row::Conversation(talk("t", "ada", more)),
        Row::Conversation(talk("t", "ada", vec![said("0", Direction::Inbound, "Before", 1)])),
    ];
    assert_eq!(put(&stage, &import, 2, rows).await, (1, 1, 1));
    let kept = listed_messages(&stage, &conversation.conversation_id).await;
    let texts: Vec<_> = kept.iter().map(|one| one.text.as_str()).collect();
    assert_eq!(texts, ["Where is it?", "On its way", "Thanks"]);
    assert_eq!(report(&stage, &import).await[0].field, "conversation.messages[0].sent_at");
    // And goes on living.
    let live = stage.receive(&conversation, "Hello again").await;
    assert_eq!(live.contact_id, ada.contact_id);
}

async fn listed_messages(stage: &Stage, conversation: &str) -> Vec<Message> {
    let request = ListMessagesRequest { conversation_id: conversation.into(), page: None };
    stage.messages().list_messages(request).await.unwrap().into_inner().messages
}

#[tokio::test]
async fn imported_history_is_kept_of_who_opted_out_and_an_old_stop_is_obeyed() {
    let stage = Stage::new().await;
    let import = begin(&stage).await;
    let old = |stop: &str| {
        vec![
            said("1", Direction::Outbound, "Buy", 0),
            said("2", Direction::Inbound, stop, 1),
            said("3", Direction::Outbound, "Sorry", 2),
        ]
    };
    let rows = vec![
        Row::Contact(ImportedContact { opted_out: true, ..person("left") }),
        Row::Contact(person("stops")),
        Row::Contact(person("stays")),
        Row::Conversation(talk("a", "left", old("START"))),
        Row::Conversation(talk("b", "stops", old("STOP"))),
        Row::Conversation(talk("c", "stays", old("Thanks"))),
    ];
    assert_eq!(put(&stage, &import, 1, rows).await, (6, 0, 0));
    let mut out = Vec::new();
    for key in ["left", "stops", "stays"] {
        out.push(look_up(&stage, &format!("{key}@example.org")).await[0].opted_out);
    }
    assert_eq!(out, [true, true, false]);
    assert_eq!(count(&stage, "messages").await, 9);
}

#[tokio::test]
async fn every_kind_of_bad_row_is_refused_with_its_place_and_nothing_of_it_is_kept() {
    let stage = Stage::new().await;
    let banned = stage.create(person("banned").profile.unwrap()).await;
    let ban = BanContactRequest { contact_id: banned.contact_id.clone() };
    stage.contacts().ban_contact(ban).await.unwrap();
    let restricted = stage.create(person("restricted").profile.unwrap()).await;
    let restrict = RestrictContactRequest { contact_id: restricted.contact_id.clone(), ground: 1 };
    stage.contacts().restrict_contact(restrict).await.unwrap();
    let import = begin(&stage).await;
    let secret = "qzvxk";
    let profile = |change: fn(&mut Profile, &str)| {
        let mut row = person(secret);
        change(row.profile.as_mut().unwrap(), secret);
        Row::Contact(row)
    };
    let with = |contact_id: &str| {
        let messages = vec![said(secret, Direction::Inbound, secret, 0)];
        let row = ImportedConversation { contact_id: contact_id.into(), ..talk(secret, "", messages) };
        Row::Conversation(row)
    };
    let unreadable = UnreadableRow {
        field: format!("contact.profile.custom_fields.{secret}"),
        code: "FIELD_INVALID".into(),
        reason: "must be a string".into(),
    };
    let nobody = "con_01998f2ac3e47b0f8a5d2f60b1c9e7aa";
    let rows = vec![
        Row::Contact(ImportedContact { key: String::new(), ..person(secret) }),
        profile(|profile, secret| profile.phone = secret.into()),
        profile(|profile, secret| profile.email = secret.into()),
        profile(|profile, secret| profile.name = format!("{secret}\u{7}")),
        profile(|profile, secret| profile.custom_fields = BTreeMap::from([(secret.into(), "\u{7}".into())])),
        profile(|profile, _| profile.label_ids = vec!["lbl_01998f2ac3e47b0f8a5d2f60b1c9e7aa".into()]),
        Row::Contact(person("good")),
        Row::Unreadable(unreadable),
        Row::Conversation(talk(secret, secret, vec![said(secret, Direction::Inbound, secret, 0)])),
        with(nobody),
        with(&banned.contact_id),
        with(&restricted.contact_id),
        Row::Conversation(talk(secret, "good", vec![said(secret, Direction::Inbound, "", 0)])),
    ];
    assert_eq!(put(&stage, &import, 1, rows).await, (1, 0, 12));
    let told = report(&stage, &import).await;
    let told: Vec<_> = told.iter().map(|row| (row.line, row.field.as_str(), row.code.as_str())).collect();
    assert_eq!(
        told,
        [
            (1, "contact.key", "FIELD_INVALID"),
            (2, "contact.profile.phone", "FIELD_INVALID"),
            (3, "contact.profile.email", "FIELD_INVALID"),
            (4, "contact.profile.name", "FIELD_INVALID"),
            (5, "contact.profile.custom_fields", "FIELD_INVALID"),
            (6, "contact.profile.label_ids", "FIELD_INVALID"),
            (8, "contact.profile.custom_fields", "FIELD_INVALID"),
            (9, "conversation", "CONTACT_NOT_FOUND"),
            (10, "conversation", "CONTACT_NOT_FOUND"),
            (11, "conversation", "CONTACT_BANNED"),
            (12, "conversation", "CONTACT_RESTRICTED"),
            (13, "conversation.messages[0].text", "FIELD_INVALID"),
        ]
    );
    let mut db = stage.superuser().await;
    for table in ["refused_rows", "imports", "import_keys", "gone_import_keys"] {
        let rows = format!("select coalesce(string_agg(t::text, ' '), '') from {table} t");
        let text: String = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_one(&mut db).await.unwrap();
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!text.contains(secret) && !text.contains(&hex), "{table}: {text}");
    }
    assert!(look_up(&stage, "good@example.org").await.len() == 1, "the good row went in");
    assert_eq!((count(&stage, "messages").await, count(&stage, "conversations").await), (0, 0));
    let now = get(&stage, &import).await.unwrap();
    assert_eq!((now.lines, now.imported, now.refused, now.next_chunk), (13, 1, 12, 2));
}

#[tokio::test]
async fn create_contact_knows_a_body_again_whatever_the_order_of_its_fields() {
    let stage = Stage::new().await;
    for number in 0..20 {
        let request = || {
            let custom_fields = (0..4).map(|n| (format!("k{n}"), "v".to_owned())).collect();
            let profile = Some(Profile { custom_fields, ..Profile::default() });
            CreateContactRequest { profile, idempotency: Some(Idempotency { key: format!("k-{number}") }) }
        };
        let first = stage.contacts().create_contact(request()).await.unwrap().into_inner();
        let again = stage.contacts().create_contact(request()).await.unwrap().into_inner();
        assert_eq!(first, again);
    }
}
