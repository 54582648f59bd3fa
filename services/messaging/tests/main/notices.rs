//! Notices of erasure (GDPR Art. 19): what becomes of them when a receiver, a turn or a certificate takes long.

use std::time::Duration;

use lethe_outbox::{Event, Outbox, kind};
use lethe_proto::{
    erasure::{Attestation, Mode, Scope, hold_request::What},
    event::ErasureAdvanced,
    messaging::{Channel, UpdateWebhookEndpointRequest, WebhookDeliveryState, WebhookEndpointState},
};
use lethe_service::Database;
use lethe_testkit::Receiver;
use serde_json::{Value, json};

use crate::{
    stage::{Stage, reason},
    webhooks::{count, create, deliveries, get, hooks, passes_until, replay, stage, test, until},
};

/// Who was told, as the certificate will have it.
async fn told(stage: &Stage, scope: &Scope) -> Vec<(String, u64)> {
    let findings = stage.verify(scope).await;
    let told = findings.into_iter().filter(|finding| finding.attestation() == Attestation::Told);
    told.map(|finding| (finding.code, finding.looked_for)).collect()
}

fn answered(code: &str) -> Vec<(String, u64)> {
    vec![(code.to_owned(), 1)]
}

#[tokio::test]
async fn who_was_told_is_known_until_the_last_certificate_is_signed() {
    let mut stage = stage(|_| {}).await;
    let receiver = Receiver::start(|_, _| 200).await;
    create(&stage, &receiver.url("/")).await;
    let ada = stage.contact("Ada").await;
    until("it has heard of her", async || receiver.received().len() == 1).await;
    let scope = stage.scope(&ada);
    stage.fence(&scope).await;
    stage.purge(&scope).await;
    let due: time::OffsetDateTime =
        sqlx::query_scalar("select next_attempt_at from webhook_deliveries where scope_id is not null")
            .fetch_one(&mut stage.superuser().await)
            .await
            .unwrap();
    assert!(
        due - stage.world.clock.now() == Duration::from_secs(30),
        "an event that met no fence may still be under way"
    );
    stage.advance(Duration::from_secs(31));
    until("it has answered", async || told(&stage, &scope).await == answered("RECIPIENTS_ANSWERED")).await;
    // A legal hold puts off the last certificate by months; other deliveries are swept away.
    let bob = create(&stage, &receiver.url("/other")).await;
    test(&stage, &bob).await;
    until("there is another", async || count(&stage, "webhook_deliveries").await == 2).await;
    stage.advance(Duration::from_secs(40 * 86_400));
    until("the other is swept away", async || count(&stage, "webhook_deliveries").await == 1).await;
    assert_eq!(told(&stage, &scope).await, answered("RECIPIENTS_ANSWERED"));

    let db = Database::connect("messaging", &stage.database).await.unwrap();
    let outbox =
        Outbox::new(kind::MESSAGING_AUDIT_RECORDED, stage.world.clock.clone(), stage.world.entropy.clone());
    let payload = ErasureAdvanced {
        erasure_id: scope.erasure_id.clone(),
        state: "re_verified".to_owned(),
        version: None,
    };
    let aggregate = crate::stage::uuid_of(&scope.erasure_id);
    let mut tx = db.tenant(stage.tenant).await.unwrap();
    let event = Event { kind: kind::ERASURE_ADVANCED, aggregate, seq: 9, payload };
    outbox.put(&mut tx, &event).await.unwrap();
    tx.commit().await.unwrap();
    until("the notice is swept away too", async || count(&stage, "webhook_deliveries").await == 0).await;
}

#[tokio::test]
async fn whoever_heard_of_a_contact_is_told_which_of_its_conversations_were_erased() {
    let mut stage = stage(|config| config.backoff_s = vec![60, 3_600]).await;
    let is_notice = |body: &str| body.contains("conversation.erased");
    // It does not take the first notice.
    let receiver = Receiver::start(move |one, before| match is_notice(&one.body) && before == 1 {
        true => 503,
        false => 200,
    })
    .await;
    let endpoint = create(&stage, &receiver.url("/")).await;
    let ada = stage.contact("Ada").await;
    until("it has heard of her", async || receiver.received().len() == 1).await;
    let notices = || -> Vec<Value> {
        let received = receiver.received().into_iter().filter(|one| is_notice(&one.body));
        received.map(|one| serde_json::from_str(&one.body).unwrap()).collect()
    };
    // Switched off, it is told all the same.
    let off = UpdateWebhookEndpointRequest {
        endpoint_id: endpoint.endpoint_id,
        enabled: Some(false),
        if_version: 1,
        ..UpdateWebhookEndpointRequest::default()
    };
    hooks(&stage).update_webhook_endpoint(off).await.unwrap();
    let chat = stage.open(&ada).await;
    let scope = stage.part(&ada, Mode::Conversation, Some(&chat));
    stage.fence(&scope).await;
    stage.advance(Duration::from_secs(31));
    assert_eq!(told(&stage, &scope).await, [], "not before it is gone");
    for _ in 0..2 {
        stage.purge(&scope).await;
    }
    assert_eq!(told(&stage, &scope).await, answered("RECIPIENTS_BEING_TOLD"));
    stage.advance(Duration::from_secs(31));
    passes_until(&mut stage, "it is told", async |_| notices().len() == 1).await;
    stage.advance(Duration::from_secs(70));
    passes_until(&mut stage, "it is told again", async |_| notices().len() == 2).await;
    until("it has answered", async || told(&stage, &scope).await == answered("RECIPIENTS_ANSWERED")).await;
    let said = json!({"contact_id": ada.contact_id, "conversation_id": chat.conversation_id});
    assert_eq!(notices().iter().map(|notice| &notice["data"]).collect::<Vec<_>>(), [&said, &said]);

    // Of her e-mail one conversation is held: it is told of when it goes.
    let mut mails = Vec::new();
    for _ in 0..3 {
        mails.push(stage.open_by(&ada, Channel::Email).await.conversation_id);
    }
    mails.sort();
    let hold = stage.place(What::ConversationId(mails[1].clone())).await.unwrap();
    let scope = stage.part(&ada, Mode::Email, None);
    stage.fence(&scope).await;
    stage.purge(&scope).await;
    stage.advance(Duration::from_secs(31));
    until("it was told of two", async || notices().len() == 3).await;
    let of_two = json!({"contact_id": ada.contact_id, "conversation_id": mails[0], "other_conversation_ids": [mails[2]]});
    assert_eq!(notices()[2]["data"], of_two);
    assert!(stage.let_go(&hold).await);
    stage.purge(&scope).await;
    stage.advance(Duration::from_secs(31));
    until("it was told of the third", async || notices().len() == 4).await;
    assert_eq!(notices()[3]["data"], json!({"contact_id": ada.contact_id, "conversation_id": mails[1]}));
    until("it is one recipient", async || told(&stage, &scope).await == answered("RECIPIENTS_ANSWERED"))
        .await;
    assert_eq!(count(&stage, "recipients").await, 1, "she lives on");
}

#[tokio::test]
async fn a_notice_is_not_replayed_before_its_scope_is_purged() {
    let stage = stage(|_| {}).await;
    let receiver = Receiver::start(|_, _| 200).await;
    create(&stage, &receiver.url("/")).await;
    let ada = stage.contact("Ada").await;
    until("it has heard of her", async || receiver.received().len() == 1).await;
    let scope = stage.scope(&ada);
    stage.fence(&scope).await;
    let [notice] = &deliveries(&stage, WebhookDeliveryState::Pending).await[..] else { panic!("one waits") };
    assert_eq!(reason(&replay(&stage, notice).await.unwrap_err()), "BEING_ERASED");
    let [still] = &deliveries(&stage, WebhookDeliveryState::Pending).await[..] else { panic!("one waits") };
    assert!(still.next_attempt_at.is_none());

    stage.purge(&scope).await;
    let due = replay(&stage, notice).await.unwrap().next_attempt_at.unwrap();
    let settled = stage.world.clock.now() + Duration::from_secs(30);
    assert_eq!(due.seconds, settled.unix_timestamp(), "an event that met no fence may still be under way");
}

#[tokio::test]
async fn an_endpoint_that_said_it_is_gone_is_promised_no_notice() {
    let mut stage = stage(|_| {}).await;
    let receiver = Receiver::start(|_, before| if before < 2 { 200 } else { 410 }).await;
    let endpoint = create(&stage, &receiver.url("/")).await;
    let (ada, bob) = (stage.contact("Ada").await, stage.contact("Bob").await);
    until("it has heard of both", async || receiver.received().len() == 2).await;
    let (before, after) = (stage.scope(&ada), stage.scope(&bob));
    stage.fence(&before).await;
    test(&stage, &endpoint).await;
    until("it is switched off", async || {
        get(&stage, &endpoint).await.unwrap().state == WebhookEndpointState::Gone as i32
    })
    .await;
    stage.fence(&after).await;
    for scope in [&before, &after] {
        stage.purge(scope).await;
        assert_eq!(told(&stage, scope).await, answered("RECIPIENTS_NOT_REACHED"));
    }
    let failed = deliveries(&stage, WebhookDeliveryState::Failed).await;
    assert_eq!(failed.iter().filter(|one| one.last_failure == "ENDPOINT_GONE").count(), 2, "{failed:?}");

    // And one that is still pending when the schedule is over is told nothing any more.
    let silent = Receiver::start(|_, _| 200).await;
    create(&stage, &silent.url("/")).await;
    let eve = stage.contact("Eve").await;
    until("it has heard of her", async || silent.received().len() == 1).await;
    let scope = stage.scope(&eve);
    stage.fence(&scope).await;
    stage.purge(&scope).await;
    assert_eq!(told(&stage, &scope).await, answered("RECIPIENTS_BEING_TOLD"));
    let mut db = stage.superuser().await;
    sqlx::query("update webhook_endpoints set leased_until = 'infinity'").execute(&mut db).await.unwrap();
    stage.advance(Duration::from_secs(5 * 86_400));
    assert_eq!(told(&stage, &scope).await, answered("RECIPIENTS_NOT_REACHED"));
}

#[tokio::test]
async fn a_turn_begins_no_attempt_after_its_end() {
    let mut stage = stage(|config| config.concurrency = 1).await;
    let clock = stage.world.clock.clone();
    let receiver = Receiver::start(move |_, before| {
        if before == 1 {
            clock.advance(Duration::from_secs(25));
        }
        200
    })
    .await;
    let endpoint = create(&stage, &receiver.url("/")).await;
    // All are due at once, when nobody has the endpoint in hand.
    let mut db = stage.superuser().await;
    let lease = "update webhook_endpoints set leased_until = $1::timestamptz";
    sqlx::query(lease).bind("infinity").execute(&mut db).await.unwrap();
    for _ in 0..4 {
        test(&stage, &endpoint).await;
    }
    sqlx::query(lease).bind(None::<&str>).execute(&mut db).await.unwrap();
    passes_until(&mut stage, "all were sent", async |_| receiver.received().len() == 4).await;
    let turns: i64 =
        sqlx::query_scalar("select lease from webhook_endpoints").fetch_one(&mut db).await.unwrap();
    assert!(turns >= 2, "the second one took the turn's time, the others wait for the next: {turns}");
}
