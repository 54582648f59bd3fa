//! MessageService: reading, editing, deleting one message.

use lethe_proto::messaging::{
    DeleteMessageRequest, Direction, EditMessageRequest, GetMessageRequest, HydrateMessagesRequest,
    ListMessagesRequest, Message, RestrictContactRequest, SendMessageRequest,
};
use tonic::{Code, Status};

use crate::stage::{Stage, field, page, reason};

const NONE: &str = "msg_0199aabbccdd7eef8123456789abcdef";
const NO_CONVERSATION: &str = "cnv_0199aabbccdd7eef8123456789abcdef";

async fn get(stage: &Stage, id: &str) -> Result<Message, Status> {
    let request = GetMessageRequest { message_id: id.into() };
    stage.messages().get_message(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn what_is_sent_and_received_is_read_back() {
    let stage = Stage::new().await;
    let contact = stage.contact("Ada").await;
    let conversation = stage.open(&contact).await;
    let received = stage.receive(&conversation, "Hello 王 🙂\n").await;
    let sent = stage.send(&conversation, "How can we help?").await;
    assert_eq!((received.direction(), received.member_id.as_str()), (Direction::Inbound, ""));
    assert_eq!(sent.direction(), Direction::Outbound);
    assert!(sent.member_id.starts_with("mem_"));
    assert_eq!((received.seq, sent.seq, sent.version), (3, 4, 1));
    for message in [&received, &sent] {
        assert_eq!(get(&stage, &message.message_id).await.unwrap(), *message);
        assert_eq!(message.contact_id, contact.contact_id);
    }
    assert_eq!(reason(&get(&stage, NONE).await.unwrap_err()), "MESSAGE_NOT_FOUND");
    assert_eq!(field(&get(&stage, "x").await.unwrap_err()), "message_id");
    let mut db = stage.superuser().await;
    let rows: Vec<String> =
        sqlx::query_scalar("select messages::text from messages").fetch_all(&mut db).await.unwrap();
    assert!(
        rows.iter().all(|row| !row.contains("48656c6c6f") && !row.contains("Hello")),
        "a text is not sealed"
    );
}

#[tokio::test]
async fn a_text_past_its_limits_is_refused() {
    let stage = Stage::new().await;
    let conversation = stage.open(&stage.contact("Ada").await).await;
    for text in [String::new(), "x".repeat(16_385), "🙂".repeat(16_385)] {
        for status in [
            stage.try_send(&conversation, &text, None).await.unwrap_err(),
            stage.try_receive(&conversation, &text, None).await.unwrap_err(),
        ] {
            assert_eq!((status.code(), field(&status).as_str()), (Code::InvalidArgument, "text"));
        }
    }
    let longest = "🙂".repeat(16_384);
    assert_eq!(stage.receive(&conversation, &longest).await.text, longest);
    let status = stage.try_send(&conversation, "x", Some(&"k".repeat(65))).await.unwrap_err();
    assert_eq!(field(&status), "idempotency.key");
    let nowhere =
        SendMessageRequest { conversation_id: NO_CONVERSATION.into(), text: "x".into(), idempotency: None };
    let status = stage.messages().send_message(nowhere).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "CONVERSATION_NOT_FOUND"));
}

#[tokio::test]
async fn list_messages_is_in_the_order_of_acceptance() {
    let stage = Stage::new().await;
    let contact = stage.contact("Ada").await;
    let (conversation, other) = (stage.open(&contact).await, stage.open(&contact).await);
    for number in 0..5 {
        stage.receive(&conversation, &format!("m{number}")).await;
        stage.receive(&other, "elsewhere").await;
    }
    let list = |limit: u32, after: bytes::Bytes| ListMessagesRequest {
        conversation_id: conversation.conversation_id.clone(),
        page: page(limit, after),
    };
    let (mut texts, mut after) = (Vec::new(), bytes::Bytes::new());
    loop {
        let answer = stage.messages().list_messages(list(2, after)).await.unwrap().into_inner();
        texts.extend(answer.messages.into_iter().map(|message| message.text));
        after = answer.next;
        if after.is_empty() {
            break;
        }
    }
    assert_eq!(texts, ["m0", "m1", "m2", "m3", "m4"]);
    let next = stage.messages().list_messages(list(2, bytes::Bytes::new())).await.unwrap().into_inner().next;
    let elsewhere =
        ListMessagesRequest { conversation_id: other.conversation_id.clone(), page: page(2, next) };
    assert_eq!(field(&stage.messages().list_messages(elsewhere).await.unwrap_err()), "page.after");
    let status = stage.messages().list_messages(list(201, bytes::Bytes::new())).await.unwrap_err();
    assert_eq!(field(&status), "page.limit");
    let none = ListMessagesRequest { conversation_id: NO_CONVERSATION.into(), page: None };
    let status = stage.messages().list_messages(none).await.unwrap_err();
    assert_eq!(reason(&status), "CONVERSATION_NOT_FOUND");
    let empty = stage.open(&contact).await.conversation_id;
    let empty = ListMessagesRequest { conversation_id: empty, page: None };
    assert!(stage.messages().list_messages(empty).await.unwrap().into_inner().messages.is_empty());
}

#[tokio::test]
async fn edit_message_counts_the_version() {
    let stage = Stage::new().await;
    let conversation = stage.open(&stage.contact("Ada").await).await;
    let message = stage.send(&conversation, "helo").await;
    let edit = |text: &str, if_version: u64| EditMessageRequest {
        message_id: message.message_id.clone(),
        text: text.into(),
        if_version,
    };
    let edited = stage.messages().edit_message(edit("hello", 1)).await.unwrap().into_inner();
    assert_eq!((edited.text.as_str(), edited.version, edited.seq), ("hello", 2, 4));
    assert!(edited.edited_at.is_some());
    assert_eq!(get(&stage, &message.message_id).await.unwrap(), edited);
    let status = stage.messages().edit_message(edit("x", 1)).await.unwrap_err();
    assert_eq!(reason(&status), "VERSION_MISMATCH");
    assert_eq!(field(&stage.messages().edit_message(edit("", 2)).await.unwrap_err()), "text");
    let none = EditMessageRequest { message_id: NONE.into(), ..edit("x", 0) };
    assert_eq!(reason(&stage.messages().edit_message(none).await.unwrap_err()), "MESSAGE_NOT_FOUND");
    // Without a version all that are made at once land, one after the other.
    let blind = |number: usize| {
        let (mut messages, edit) = (stage.messages(), edit(&format!("at once {number}"), 0));
        async move { messages.edit_message(edit).await.unwrap() }
    };
    futures::future::join_all((0..3).map(blind)).await;
    assert_eq!(get(&stage, &message.message_id).await.unwrap().version, 5);
}

#[tokio::test]
async fn delete_message_takes_the_text_and_a_replay_of_it_is_gone() {
    let stage = Stage::new().await;
    let conversation = stage.open(&stage.contact("Ada").await).await;
    let message = stage.try_send(&conversation, "secret", Some("k")).await.unwrap().message.unwrap();
    let delete = || DeleteMessageRequest { message_id: message.message_id.clone() };
    let deleted = stage.messages().delete_message(delete()).await.unwrap().into_inner();
    let again = stage.messages().delete_message(delete()).await.unwrap().into_inner();
    assert_eq!((deleted.text.as_str(), deleted.deleted_at.is_some(), deleted.seq), ("", true, 4));
    assert_eq!(deleted, again);
    assert_eq!(get(&stage, &message.message_id).await.unwrap(), deleted);
    let status = stage.try_send(&conversation, "secret", Some("k")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "MESSAGE_GONE"));
    let edit = EditMessageRequest { message_id: message.message_id, text: "x".into(), if_version: 0 };
    assert_eq!(reason(&stage.messages().edit_message(edit).await.unwrap_err()), "MESSAGE_DELETED");
    let none = DeleteMessageRequest { message_id: NONE.into() };
    assert_eq!(reason(&stage.messages().delete_message(none).await.unwrap_err()), "MESSAGE_NOT_FOUND");
    let mut db = stage.superuser().await;
    let texts: i64 = sqlx::query_scalar("select count(text) from messages").fetch_one(&mut db).await.unwrap();
    assert_eq!(texts, 0);
}

#[tokio::test]
async fn a_restricted_contact_is_stored_and_not_used() {
    let stage = Stage::new().await;
    let contact = stage.contact("Ada").await;
    let conversation = stage.open(&contact).await;
    let before = stage.receive(&conversation, "before").await;
    let restrict = RestrictContactRequest { contact_id: contact.contact_id.clone(), ground: 1 };
    stage.contacts().restrict_contact(restrict).await.unwrap();
    let status = stage.try_send(&conversation, "out", None).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "CONTACT_RESTRICTED"));
    let stored = stage.receive(&conversation, "in").await;
    assert_eq!(get(&stage, &stored.message_id).await.unwrap().text, "in");
    let ids = HydrateMessagesRequest {
        message_ids: vec![before.message_id, stored.message_id],
        ..Default::default()
    };
    assert!(stage.viewer().hydrate_messages(ids).await.unwrap().into_inner().messages.is_empty());
}

#[tokio::test]
async fn hydrate_messages_answers_in_the_order_asked_and_leaves_out_the_absent() {
    let stage = Stage::new().await;
    let conversation = stage.open(&stage.contact("Ada").await).await;
    let one = stage.receive(&conversation, "one").await;
    let two = stage.receive(&conversation, "two").await;
    let gone = stage.receive(&conversation, "gone").await;
    let delete = DeleteMessageRequest { message_id: gone.message_id.clone() };
    stage.messages().delete_message(delete).await.unwrap();
    let ids = vec![two.message_id.clone(), NONE.into(), gone.message_id, one.message_id.clone()];
    let request = HydrateMessagesRequest { message_ids: ids, ..Default::default() };
    let answer = stage.viewer().hydrate_messages(request).await.unwrap().into_inner();
    assert_eq!(answer.messages, [two, one.clone()]);
    let most =
        HydrateMessagesRequest { message_ids: vec![one.message_id.clone(); 200], ..Default::default() };
    assert_eq!(stage.viewer().hydrate_messages(most).await.unwrap().into_inner().messages.len(), 1);
    let many = HydrateMessagesRequest { message_ids: vec![one.message_id; 201], ..Default::default() };
    assert_eq!(field(&stage.viewer().hydrate_messages(many).await.unwrap_err()), "message_ids");
    let bad = HydrateMessagesRequest { message_ids: vec!["x".into()], ..Default::default() };
    assert_eq!(field(&stage.viewer().hydrate_messages(bad).await.unwrap_err()), "message_ids[0]");
}
