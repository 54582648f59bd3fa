//! ConversationService.

use std::time::Duration;

use lethe_ids::MemberId;
use lethe_proto::{
    messaging::{
        Channel, Conversation, ConversationStatus, GetConversationRequest, ListConversationsRequest,
        OpenConversationRequest, UpdateConversationRequest,
    },
    request::Idempotency,
};
use tonic::Code;

use crate::{
    identity::{AWAY, LEFT, STRANGER},
    stage::{Stage, field, page, reason},
};

const NOBODY: &str = "con_0199aabbccdd7eef8123456789abcdef";

async fn get(stage: &Stage, id: &str) -> Conversation {
    let request = GetConversationRequest { conversation_id: id.into() };
    stage.conversations().get_conversation(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn open_conversation_makes_one_for_a_key() {
    let stage = Stage::new().await;
    let contact = stage.contact("Ada").await;
    let request = |channel: Channel| OpenConversationRequest {
        contact_id: contact.contact_id.clone(),
        channel: channel.into(),
        idempotency: Some(Idempotency { key: "k".into() }),
    };
    let opened = stage.conversations().open_conversation(request(Channel::Sms)).await.unwrap().into_inner();
    assert_eq!(
        (opened.status(), opened.channel(), opened.version),
        (ConversationStatus::Open, Channel::Sms, 1)
    );
    assert_eq!((opened.seq, opened.last_message_at), (2, None));
    let again = stage.conversations().open_conversation(request(Channel::Sms)).await.unwrap().into_inner();
    assert_eq!(opened, again);
    assert_eq!(get(&stage, &opened.conversation_id).await, opened);
    let status = stage.conversations().open_conversation(request(Channel::Email)).await.unwrap_err();
    assert_eq!(reason(&status), "IDEMPOTENCY_KEY_REUSED");
    for (wrong, bad) in [
        ("contact_id", OpenConversationRequest { contact_id: "x".into(), idempotency: None, channel: 1 }),
        ("channel", OpenConversationRequest { channel: 0, idempotency: None, ..request(Channel::Sms) }),
        ("channel", OpenConversationRequest { channel: 5, idempotency: None, ..request(Channel::Sms) }),
    ] {
        assert_eq!(field(&stage.conversations().open_conversation(bad).await.unwrap_err()), wrong);
    }
    let nobody = OpenConversationRequest { contact_id: NOBODY.into(), idempotency: None, channel: 1 };
    assert_eq!(
        reason(&stage.conversations().open_conversation(nobody).await.unwrap_err()),
        "CONTACT_NOT_FOUND"
    );
}

#[tokio::test]
async fn update_conversation_compares_the_version() {
    let stage = Stage::new().await;
    let conversation = stage.open(&stage.contact("Ada").await).await;
    let member = MemberId::new(stage.world.entropy.uuid7(&stage.world.clock)).to_string();
    let request = UpdateConversationRequest {
        conversation_id: conversation.conversation_id.clone(),
        status: ConversationStatus::Resolved.into(),
        assigned_member_id: Some(member.clone()),
        if_version: 1,
        ..Default::default()
    };
    let updated = stage.conversations().update_conversation(request.clone()).await.unwrap().into_inner();
    assert_eq!((updated.status(), updated.version, updated.seq), (ConversationStatus::Resolved, 2, 3));
    assert_eq!(updated.assigned_member_id, member);
    let status = stage.conversations().update_conversation(request.clone()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "VERSION_MISMATCH"));
    // The same again changes nothing; empty takes the member away, absent leaves all.
    let same = UpdateConversationRequest { if_version: 2, ..request.clone() };
    assert_eq!(stage.conversations().update_conversation(same).await.unwrap().into_inner(), updated);
    let nobody = UpdateConversationRequest {
        assigned_member_id: Some(String::new()),
        status: 0,
        if_version: 0,
        ..request.clone()
    };
    let freed = stage.conversations().update_conversation(nobody).await.unwrap().into_inner();
    assert_eq!((freed.status(), freed.assigned_member_id.as_str()), (ConversationStatus::Resolved, ""));
    for (wrong, bad) in [
        ("status", UpdateConversationRequest { status: 3, ..request.clone() }),
        (
            "assigned_member_id",
            UpdateConversationRequest { assigned_member_id: Some("x".into()), ..request.clone() },
        ),
        ("conversation_id", UpdateConversationRequest { conversation_id: NOBODY.into(), ..request }),
    ] {
        assert_eq!(field(&stage.conversations().update_conversation(bad).await.unwrap_err()), wrong);
    }
}

#[tokio::test]
async fn update_conversation_gives_it_to_an_active_member_of_the_tenant_alone() {
    let stage = Stage::new().await;
    let conversation = stage.open(&stage.contact("Ada").await).await;
    let give = |member: &str| UpdateConversationRequest {
        conversation_id: conversation.conversation_id.clone(),
        status: ConversationStatus::Resolved.into(),
        assigned_member_id: Some(member.into()),
        ..Default::default()
    };
    for member in [LEFT, STRANGER] {
        let status = stage.conversations().update_conversation(give(member)).await.unwrap_err();
        assert_eq!((status.code(), field(&status).as_str()), (Code::InvalidArgument, "assigned_member_id"));
    }
    let status = stage.conversations().update_conversation(give(AWAY)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "IDENTITY_UNAVAILABLE"));
    assert_eq!(get(&stage, &conversation.conversation_id).await, conversation, "nothing was changed");
    // Who has it keeps it, also when he has left since or identity is away.
    for member in [LEFT, AWAY] {
        let mut superuser = stage.superuser().await;
        let uuid = member.parse::<MemberId>().unwrap().uuid();
        sqlx::query("update conversations set assigned_member_id = $1")
            .bind(uuid)
            .execute(&mut superuser)
            .await
            .unwrap();
        let kept = stage.conversations().update_conversation(give(member)).await.unwrap().into_inner();
        assert_eq!((kept.status(), kept.assigned_member_id.as_str()), (ConversationStatus::Resolved, member));
    }
}

async fn listed(stage: &Stage, contact_id: &str, status: i32, limit: u32) -> Vec<String> {
    let (mut ids, mut after) = (Vec::new(), bytes::Bytes::new());
    loop {
        let request = ListConversationsRequest {
            contact_id: contact_id.into(),
            status,
            page: page(limit, after.clone()),
            ..Default::default()
        };
        let answer = stage.conversations().list_conversations(request).await.unwrap().into_inner();
        ids.extend(answer.conversations.into_iter().map(|conversation| conversation.conversation_id));
        after = answer.next;
        if after.is_empty() {
            return ids;
        }
    }
}

#[tokio::test]
async fn list_conversations_goes_by_the_last_message_to_the_millisecond() {
    let mut stage = Stage::new().await;
    let mut open = Vec::new();
    for number in 0..6 {
        let contact = stage.contact(&format!("n{number}")).await;
        open.push((contact.clone(), stage.open(&contact).await));
        stage.advance(Duration::from_millis(7));
    }
    // Within the minute in which the index is not told, over its edge, and long after.
    let mut last = vec![0_i64; open.len()];
    for (step, (number, wait)) in
        [(2, 5), (0, 900), (5, 58_000), (2, 1), (1, 3_000), (4, 61_000), (0, 2), (3, 500_000), (2, 40_000)]
            .into_iter()
            .enumerate()
    {
        stage.advance(Duration::from_millis(wait));
        stage.receive(&open[number].1, &format!("step {step}")).await;
        last[number] = stage.world.clock.millis();
        let mut expected: Vec<usize> = (0..open.len()).collect();
        let key = |n: &usize| {
            if last[*n] == 0 {
                open[*n].1.created_at.unwrap().seconds * 1000
                    + i64::from(open[*n].1.created_at.unwrap().nanos) / 1_000_000
            } else {
                last[*n]
            }
        };
        expected.sort_by_key(|n| std::cmp::Reverse(key(n)));
        let expected: Vec<String> = expected.into_iter().map(|n| open[n].1.conversation_id.clone()).collect();
        for limit in [1, 2, 4, 50] {
            assert_eq!(listed(&stage, "", 0, limit).await, expected, "step {step}, limit {limit}");
        }
    }
    let mine = listed(&stage, &open[2].0.contact_id, 0, 1).await;
    assert_eq!(mine, [open[2].1.conversation_id.clone()]);
    let resolve = UpdateConversationRequest {
        conversation_id: open[2].1.conversation_id.clone(),
        status: ConversationStatus::Resolved.into(),
        assigned_member_id: None,
        if_version: 0,
        ..Default::default()
    };
    stage.conversations().update_conversation(resolve).await.unwrap();
    assert_eq!(listed(&stage, "", ConversationStatus::Resolved.into(), 3).await, mine);
    assert_eq!(listed(&stage, "", ConversationStatus::Open.into(), 3).await.len(), 5);
    let bad =
        ListConversationsRequest { contact_id: "x".into(), status: 0, page: None, ..Default::default() };
    assert_eq!(field(&stage.conversations().list_conversations(bad).await.unwrap_err()), "contact_id");
    let bad =
        ListConversationsRequest { contact_id: String::new(), status: 7, page: None, ..Default::default() };
    assert_eq!(field(&stage.conversations().list_conversations(bad).await.unwrap_err()), "status");
}

#[tokio::test]
async fn each_month_has_a_secret_of_its_own() {
    let mut stage = Stage::new().await;
    let conversation = stage.open(&stage.contact("Ada").await).await;
    stage.receive(&conversation, "in November").await;
    stage.advance(Duration::from_secs(9 * 86_400));
    // Many at once begin the month; they agree on one secret.
    let texts: Vec<String> = (0..8).map(|number| format!("in December {number}")).collect();
    futures::future::join_all(texts.iter().map(|text| stage.receive(&conversation, text))).await;
    let mut db = stage.superuser().await;
    let months: Vec<(time::Date, i64)> = sqlx::query_as(
        "select u.month, count(m.*) from conversation_units u
           left join messages m on substring(m.text from 28 for 16) = uuid_send(u.unit_id)
          group by u.month order by u.month",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    let first = |month| time::Date::from_calendar_date(2026, month, 1).unwrap();
    assert_eq!(months, [(first(time::Month::November), 1), (first(time::Month::December), 8)]);
}
