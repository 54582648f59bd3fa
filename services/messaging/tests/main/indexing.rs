//! ReadForIndex: what search reads.

use lethe_proto::messaging::{
    DeleteMessageRequest, LiftRestrictionRequest, MessageIds, ReadForIndexRequest, ReadForIndexResponse,
    RestrictContactRequest, UpdateConversationRequest, read_for_index_request::What,
};

use crate::stage::{Stage, field, page};

async fn read(stage: &Stage, what: What, limit: u32, after: bytes::Bytes) -> ReadForIndexResponse {
    let request = ReadForIndexRequest {
        tenant_id: stage.tenant.to_string(),
        what: Some(what),
        page: page(limit, after),
    };
    stage.indexer().read_for_index(request).await.unwrap().into_inner()
}

async fn texts(stage: &Stage, what: What) -> Vec<String> {
    let (mut texts, mut after) = (Vec::new(), bytes::Bytes::new());
    loop {
        let answer = read(stage, what.clone(), 2, after).await;
        texts.extend(answer.messages.into_iter().map(|message| message.message.unwrap().text));
        after = answer.next;
        if after.is_empty() {
            texts.sort();
            return texts;
        }
    }
}

#[tokio::test]
async fn read_for_index_answers_the_present_state_by_id_by_contact_and_of_everything() {
    let stage = Stage::new().await;
    let (ada, bob) = (stage.contact("Ada").await, stage.contact("Bob").await);
    let (one, two, bobs) = (stage.open(&ada).await, stage.open(&ada).await, stage.open(&bob).await);
    let first = stage.receive(&one, "a1").await;
    let gone = stage.receive(&one, "a2").await;
    stage.send(&one, "a3").await;
    stage.receive(&two, "a4").await;
    stage.receive(&two, "a5").await;
    let other = stage.receive(&bobs, "b1").await;
    stage
        .messages()
        .delete_message(DeleteMessageRequest { message_id: gone.message_id.clone() })
        .await
        .unwrap();
    let member = "mem_0199aabbccdd7eef8123456789abcdef";
    let assign = UpdateConversationRequest {
        conversation_id: one.conversation_id.clone(),
        status: 0,
        assigned_member_id: Some(member.into()),
        if_version: 0,
        ..Default::default()
    };
    stage.conversations().update_conversation(assign).await.unwrap();

    let none = "msg_0199aabbccdd7eef8123456789abcdef".to_owned();
    let ids = vec![first.message_id.clone(), gone.message_id.clone(), none.clone(), other.message_id.clone()];
    let by_id =
        read(&stage, What::MessageIds(MessageIds { values: ids.clone() }), 0, bytes::Bytes::new()).await;
    assert_eq!(by_id.absent_message_ids, [gone.message_id.clone(), none.clone()]);
    assert_eq!(by_id.messages[0].message.as_ref(), Some(&first));
    assert_eq!((by_id.messages[0].assigned_member_id.as_str(), by_id.messages[0].incarnation), (member, 1));
    assert_eq!(by_id.messages[1].assigned_member_id, "");
    let adas = What::ContactId(ada.contact_id.clone());
    assert_eq!(texts(&stage, adas.clone()).await, ["a1", "a3", "a4", "a5"]);
    assert_eq!(texts(&stage, What::Everything(true)).await, ["a1", "a3", "a4", "a5", "b1"]);

    let restrict = RestrictContactRequest { contact_id: ada.contact_id.clone(), ground: 2 };
    stage.contacts().restrict_contact(restrict).await.unwrap();
    assert!(texts(&stage, adas.clone()).await.is_empty());
    assert_eq!(texts(&stage, What::Everything(true)).await, ["b1"]);
    let by_id = read(&stage, What::MessageIds(MessageIds { values: ids }), 0, bytes::Bytes::new()).await;
    assert_eq!(by_id.absent_message_ids, [first.message_id, gone.message_id, none]);
    let lift = LiftRestrictionRequest { contact_id: ada.contact_id.clone() };
    stage.contacts().lift_restriction(lift).await.unwrap();
    assert_eq!(texts(&stage, adas.clone()).await.len(), 4);
    stage.fence(&stage.scope(&ada)).await;
    assert!(texts(&stage, adas).await.is_empty());
    assert_eq!(texts(&stage, What::Everything(true)).await, ["b1"]);
}

#[tokio::test]
async fn read_for_index_refuses_what_does_not_fit() {
    let stage = Stage::new().await;
    let id = "msg_0199aabbccdd7eef8123456789abcdef";
    let ids = |n: usize| Some(What::MessageIds(MessageIds { values: vec![id.into(); n] }));
    let tenant = stage.tenant.to_string();
    let request =
        |tenant: &str, what: Option<What>| ReadForIndexRequest { tenant_id: tenant.into(), what, page: None };
    assert!(stage.indexer().read_for_index(request(&tenant, ids(500))).await.is_ok());
    for (wrong, request) in [
        ("message_ids.values", request(&tenant, ids(501))),
        ("what", request(&tenant, None)),
        ("everything", request(&tenant, Some(What::Everything(false)))),
        ("contact_id", request(&tenant, Some(What::ContactId("x".into())))),
        ("tenant_id", request("x", ids(1))),
        (
            "page.after",
            ReadForIndexRequest {
                page: page(0, "junk".into()),
                ..request(&tenant, Some(What::Everything(true)))
            },
        ),
    ] {
        assert_eq!(field(&stage.indexer().read_for_index(request).await.unwrap_err()), wrong);
    }
}
