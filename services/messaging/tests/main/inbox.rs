//! What an inbox has beside messages: ratings, spam marks, bans, delivery states, read receipts.

use std::time::Duration;

use lethe_proto::{
    messaging::{
        BanContactRequest, Conversation, ConversationStatus, DeliveryState, EditMessageRequest,
        GetConversationRequest, GetMessageRequest, GetSatisfactionRequest, HydrateMessagesRequest,
        ListConversationsRequest, ListRatingsRequest, MarkReadRequest, MarkSpamRequest, Message,
        OptInContactRequest, Profile, RateConversationRequest, RecordDeliveryRequest,
        RecordReadReceiptRequest, RestrictContactRequest, UnbanContactRequest, UnmarkSpamRequest,
        UpdateContactRequest, UpdateConversationRequest, UpdateSpamSettingsRequest,
    },
    request::Idempotency,
};
use lethe_service::timestamp;
use tonic::{Code, Status};

use crate::stage::{Stage, field, reason};

fn rating(conversation: &Conversation, stars: u32, comment: &str) -> RateConversationRequest {
    RateConversationRequest {
        conversation_id: conversation.conversation_id.clone(),
        stars,
        comment: comment.into(),
        idempotency: None,
    }
}

async fn turn(stage: &Stage, conversation: &Conversation, status: ConversationStatus) {
    let request = UpdateConversationRequest {
        conversation_id: conversation.conversation_id.clone(),
        status: status.into(),
        ..UpdateConversationRequest::default()
    };
    stage.conversations().update_conversation(request).await.unwrap();
}

async fn get(stage: &Stage, conversation: &Conversation) -> Conversation {
    let request = GetConversationRequest { conversation_id: conversation.conversation_id.clone() };
    stage.conversations().get_conversation(request).await.unwrap().into_inner()
}

async fn stars(stage: &Stage) -> Vec<u64> {
    let now = stage.world.clock.now();
    let request = GetSatisfactionRequest {
        from: Some(timestamp(now - Duration::from_secs(60))),
        until: Some(timestamp(now + Duration::from_secs(1))),
    };
    stage.conversations().get_satisfaction(request).await.unwrap().into_inner().stars
}

#[tokio::test]
async fn a_rating_is_sealed_and_one_a_resolution() {
    let stage = Stage::new().await;
    let contact = stage.contact("Ada").await;
    let conversation = stage.open(&contact).await;
    let rate = async |request: RateConversationRequest| {
        stage.conversations().rate_conversation(request).await.map(tonic::Response::into_inner)
    };
    let early = rate(rating(&conversation, 5, "")).await.unwrap_err();
    assert_eq!(reason(&early), "CONVERSATION_NOT_RESOLVED");
    turn(&stage, &conversation, ConversationStatus::Resolved).await;
    for (request, wrong) in [
        (rating(&conversation, 0, ""), "stars"),
        (rating(&conversation, 6, ""), "stars"),
        (rating(&conversation, 5, &"x".repeat(2_001)), "comment"),
    ] {
        assert_eq!(field(&rate(request).await.unwrap_err()), wrong);
    }
    let keyed = RateConversationRequest {
        idempotency: Some(Idempotency { key: "k".into() }),
        ..rating(&conversation, 4, "kind zyx")
    };
    let first = rate(keyed.clone()).await.unwrap();
    assert_eq!(rate(keyed).await.unwrap(), first);
    assert_eq!(reason(&rate(rating(&conversation, 1, "")).await.unwrap_err()), "ALREADY_RATED");
    let mut db = stage.superuser().await;
    let row: String =
        sqlx::query_scalar("select ratings::text from ratings").fetch_one(&mut db).await.unwrap();
    assert!(!row.contains("7a7978"), "the comment is not sealed");

    turn(&stage, &conversation, ConversationStatus::Open).await;
    turn(&stage, &conversation, ConversationStatus::Resolved).await;
    let ground = RestrictContactRequest { contact_id: contact.contact_id.clone(), ground: 1 };
    stage.contacts().restrict_contact(ground).await.unwrap();
    assert_eq!(reason(&rate(rating(&conversation, 2, "")).await.unwrap_err()), "CONTACT_RESTRICTED");
    assert_eq!(stars(&stage).await, [0; 5]);
    let lift = lethe_proto::messaging::LiftRestrictionRequest { contact_id: contact.contact_id.clone() };
    stage.contacts().lift_restriction(lift).await.unwrap();
    let second = rate(rating(&conversation, 2, "")).await.unwrap();
    assert_eq!((first.resolution, second.resolution), (1, 2));
    assert_eq!(stars(&stage).await, [0, 1, 0, 1, 0]);
    let list = ListRatingsRequest { conversation_id: conversation.conversation_id.clone(), page: None };
    let listed = stage.conversations().list_ratings(list).await.unwrap().into_inner().ratings;
    assert_eq!(listed.iter().map(|one| one.stars).sum::<u32>(), 6);
    assert!(listed.contains(&first) && listed.contains(&second));
}

async fn listed(stage: &Stage, contact_id: &str, spam: bool) -> usize {
    let request = ListConversationsRequest { contact_id: contact_id.into(), spam, ..Default::default() };
    stage.conversations().list_conversations(request).await.unwrap().into_inner().conversations.len()
}

#[tokio::test]
async fn a_members_word_stands_above_the_detectors() {
    let stage = Stage::new().await;
    let contact = stage.contact("Ada").await;
    let (marked, free) = (stage.open(&contact).await, stage.open(&contact).await);
    let links = "www.a.example www.b.example www.c.example www.d.example www.e.example";
    let message = stage.receive(&marked, links).await;
    assert!(!get(&stage, &marked).await.spam, "off until it is switched on");
    let on = UpdateSpamSettingsRequest { detect: Some(true), if_version: 1 };
    stage.conversations().update_spam_settings(on).await.unwrap();
    let stale = stage.conversations().update_spam_settings(on).await.unwrap_err();
    assert_eq!(reason(&stale), "VERSION_MISMATCH");

    stage.receive(&marked, links).await;
    let seen = get(&stage, &marked).await;
    assert!(seen.spam && seen.spam_score >= 50);
    for contact_id in ["", &contact.contact_id] {
        assert_eq!((listed(&stage, contact_id, false).await, listed(&stage, contact_id, true).await), (1, 1));
    }
    let hydrate =
        |include_spam| HydrateMessagesRequest { message_ids: vec![message.message_id.clone()], include_spam };
    for (include, found) in [(false, 0), (true, 1)] {
        let texts = stage.viewer().hydrate_messages(hydrate(include)).await.unwrap().into_inner().messages;
        assert_eq!(texts.len(), found);
    }
    let mark = MarkSpamRequest { conversation_id: marked.conversation_id.clone() };
    let unmark = UnmarkSpamRequest { conversation_id: marked.conversation_id.clone() };
    let cleared = stage.conversations().unmark_spam(unmark.clone()).await.unwrap().into_inner();
    assert_eq!(stage.conversations().unmark_spam(unmark).await.unwrap().into_inner(), cleared);
    stage.receive(&marked, links).await;
    assert!(!get(&stage, &marked).await.spam, "a member said that it is none");
    assert!(stage.conversations().mark_spam(mark).await.unwrap().into_inner().spam);

    // Who may only be kept is not judged.
    let ground = RestrictContactRequest { contact_id: contact.contact_id.clone(), ground: 1 };
    stage.contacts().restrict_contact(ground).await.unwrap();
    stage.receive(&free, links).await;
    assert!(!get(&stage, &free).await.spam);
}

#[tokio::test]
async fn a_ban_refuses_goes_by_address_and_holds_among_others() {
    let stage = Stage::new().await;
    let office =
        |name: &str| Profile { name: name.into(), email: "office@example.org".into(), ..Profile::default() };
    let (ada, bob) = (stage.create(office("Ada")).await, stage.create(office("Bob")).await);
    let eve = stage.contact("Eve").await;
    let (hers, his, theirs) = (stage.open(&ada).await, stage.open(&bob).await, stage.open(&eve).await);
    let ban = BanContactRequest { contact_id: ada.contact_id.clone() };
    let banned = stage.contacts().ban_contact(ban.clone()).await.unwrap().into_inner();
    assert!(banned.banned);
    assert_eq!(stage.contacts().ban_contact(ban).await.unwrap().into_inner(), banned);

    // Nobody is kept from opting out; what comes once more, or for the first time, opts a banned one in no more.
    for (said, opted_out) in [("START", false), ("STOP", true), ("START", true)] {
        let refused = stage.try_receive(&hers, said, Some("k")).await.unwrap_err();
        assert_eq!(reason(&refused), "CONTACT_BANNED");
        assert_eq!(stage.get(&ada.contact_id).await.opted_out, opted_out, "{said}");
    }
    let opt_in = OptInContactRequest { contact_id: ada.contact_id.clone() };
    stage.contacts().opt_in_contact(opt_in).await.unwrap();

    // All at once, in one batch or several: the banned are refused, the others are not, and a member may still write.
    let receive = async |conversation: &Conversation| {
        stage.try_receive(conversation, "hello", None).await.map_err(|status: Status| reason(&status))
    };
    let (one, two, three, sent) = tokio::join!(
        receive(&hers),
        receive(&his),
        receive(&theirs),
        stage.try_send(&hers, "Please stop.", None)
    );
    for refused in [one, two] {
        assert_eq!(refused.map(drop), Err("CONTACT_BANNED".to_owned()));
    }
    assert!(three.is_ok() && sent.is_ok());

    assert!(stage.create(office("Cleo")).await.banned, "whoever comes with the address begins banned");
    let update = UpdateContactRequest {
        contact_id: eve.contact_id.clone(),
        email: Some("office@example.org".into()),
        ..UpdateContactRequest::default()
    };
    assert!(stage.contacts().update_contact(update).await.unwrap().into_inner().banned);

    let unban = UnbanContactRequest { contact_id: ada.contact_id.clone() };
    assert!(!stage.contacts().unban_contact(unban.clone()).await.unwrap().into_inner().banned);
    stage.receive(&hers, "thank you").await;
    assert!(!stage.create(office("Dora")).await.banned);
    assert_eq!(receive(&his).await.map(drop), Err("CONTACT_BANNED".to_owned()), "each is freed by itself");

    // Erased, the ban's row is gone with the contact, and the address stays banned.
    let ban = BanContactRequest { contact_id: ada.contact_id.clone() };
    stage.contacts().ban_contact(ban).await.unwrap();
    let scope = stage.scope(&ada);
    stage.fence(&scope).await;
    stage.purge(&scope).await;
    assert!(stage.verify(&scope).await.iter().any(|finding| finding.code == "BANS_KEPT"));
    assert!(stage.create(office("Ada again")).await.banned);
}

#[tokio::test]
async fn what_came_before_a_ban_is_answered_as_it_was() {
    let stage = Stage::new().await;
    let ada = stage.contact("Ada").await;
    let conversation = stage.open(&ada).await;
    let first = stage.try_receive(&conversation, "hello", Some("k")).await.unwrap();
    let ban = BanContactRequest { contact_id: ada.contact_id.clone() };
    stage.contacts().ban_contact(ban).await.unwrap();
    let again = stage.try_receive(&conversation, "hello", Some("k")).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.message.unwrap().message_id, first.message.unwrap().message_id);
    for (said, key, refusal) in [("else", "k", "IDEMPOTENCY_KEY_REUSED"), ("hello", "l", "CONTACT_BANNED")] {
        let refused = stage.try_receive(&conversation, said, Some(key)).await.unwrap_err();
        assert_eq!(reason(&refused), refusal);
    }
    assert_eq!(stage.texts(&conversation).await.unwrap(), ["hello"]);
}

#[tokio::test]
async fn a_ban_that_is_lifted_bans_nobody_after_that() {
    let stage = Stage::new().await;
    let office =
        |name: &str| Profile { name: name.into(), email: "office@example.org".into(), ..Profile::default() };
    let (ada, bob, cleo) = (
        stage.create(office("Ada")).await,
        stage.create(office("Bob")).await,
        stage.create(office("Cleo")).await,
    );
    let held = stage.hold(&bob).await;
    let (mut banning, mut unbanning) = (stage.contacts(), stage.contacts());
    let ban = banning.ban_contact(BanContactRequest { contact_id: ada.contact_id.clone() });
    let unban = async {
        stage.somebody_waits().await;
        // Bob is next to be banned; whoever lifts the address's ban waits for that, and comes before Cleo.
        let unban = unbanning.unban_contact(UnbanContactRequest { contact_id: ada.contact_id.clone() });
        let let_go = async {
            stage.so_many_wait(2).await;
            held.rollback().await.unwrap();
        };
        tokio::join!(unban, let_go).0
    };
    let (banned, unbanned) = tokio::join!(ban, unban);
    banned.unwrap();
    assert!(!unbanned.unwrap().into_inner().banned);
    assert!(stage.get(&bob.contact_id).await.banned);
    assert!(!stage.get(&cleo.contact_id).await.banned);
}

#[tokio::test]
async fn delivery_goes_forward_and_read_receipts_reach_what_was_sent() {
    let stage = Stage::new().await;
    let conversation = stage.open(&stage.contact("Ada").await).await;
    let inbound = stage.receive(&conversation, "hello").await;
    let mut sent: Vec<Message> = Vec::new();
    for text in ["one", "two", "three"] {
        sent.push(stage.send(&conversation, text).await);
    }
    assert_eq!((inbound.delivery(), sent[0].delivery()), (DeliveryState::Unspecified, DeliveryState::Queued));
    let record = async |message: &Message, state: DeliveryState, failure: &str| {
        let request = RecordDeliveryRequest {
            message_id: message.message_id.clone(),
            state: state.into(),
            failure: failure.into(),
        };
        stage.messages().record_delivery(request).await.map(tonic::Response::into_inner)
    };
    let delivered = record(&sent[0], DeliveryState::Delivered, "").await.unwrap();
    assert!(delivered.delivered_at.is_some() && delivered.sent_at.is_none());
    assert_eq!(record(&sent[0], DeliveryState::Sent, "").await.unwrap(), delivered, "late");
    assert_eq!(record(&sent[0], DeliveryState::Failed, "late").await.unwrap(), delivered, "it arrived");
    let failed = record(&sent[1], DeliveryState::Failed, "no_such_number").await.unwrap();
    assert_eq!((failed.delivery(), failed.failure.as_str()), (DeliveryState::Failed, "no_such_number"));
    let wrong = record(&inbound, DeliveryState::Read, "").await.unwrap_err();
    assert_eq!(reason(&wrong), "MESSAGE_INBOUND");
    assert_eq!(field(&record(&sent[2], DeliveryState::Sent, "why").await.unwrap_err()), "failure");

    // The contact read up to the last: what failed stays failed.
    let receipt = RecordReadReceiptRequest {
        conversation_id: conversation.conversation_id.clone(),
        message_id: sent[2].message_id.clone(),
    };
    let read = stage.conversations().record_read_receipt(receipt.clone()).await.unwrap().into_inner();
    assert_eq!(stage.conversations().record_read_receipt(receipt).await.unwrap().into_inner(), read);
    let states = async || {
        let mut states = Vec::new();
        for message in &sent {
            let request = GetMessageRequest { message_id: message.message_id.clone() };
            states.push(stage.messages().get_message(request).await.unwrap().into_inner().delivery());
        }
        states
    };
    assert_eq!(states().await, [DeliveryState::Read, DeliveryState::Failed, DeliveryState::Read]);

    // And a member has read what came in, until more comes.
    assert!(get(&stage, &conversation).await.unread);
    let upto = |message: &Message| MarkReadRequest {
        conversation_id: conversation.conversation_id.clone(),
        message_id: message.message_id.clone(),
    };
    let marked = stage.conversations().mark_read(upto(&inbound)).await.unwrap().into_inner();
    assert!(!marked.unread && marked.read_at.is_some());
    assert_eq!(stage.conversations().mark_read(upto(&inbound)).await.unwrap().into_inner(), marked);
    let more = stage.receive(&conversation, "more").await;
    stage.conversations().mark_read(upto(&sent[2])).await.unwrap();
    assert!(get(&stage, &conversation).await.unread, "read up to what was sent before");
    stage.conversations().mark_read(upto(&more)).await.unwrap();
    stage.conversations().mark_read(upto(&inbound)).await.unwrap();
    assert!(!get(&stage, &conversation).await.unread, "never backward");
    let elsewhere = stage.open(&stage.contact("Bob").await).await;
    let astray = MarkReadRequest { conversation_id: elsewhere.conversation_id, ..upto(&more) };
    assert_eq!(stage.conversations().mark_read(astray).await.unwrap_err().code(), Code::NotFound);

    // What the contact wrote is not a member's to change.
    let edit = EditMessageRequest { message_id: inbound.message_id, text: "I agree".into(), if_version: 0 };
    assert_eq!(reason(&stage.messages().edit_message(edit).await.unwrap_err()), "MESSAGE_INBOUND");
}
