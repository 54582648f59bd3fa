//! Erasures of a part of a contact, suppression, and legal holds: what the saga asks, writes down and forgets.

use lethe_ids::{ContactId, ConversationId, ErasureId};
use lethe_proto::{
    erasure::{Attestation, Finding, Mode},
    request::{Idempotency, Page},
    retention::{
        CancelErasureRequest, ErasureState, Hold, HoldReason, HoldState, ListHoldsRequest, PlaceHoldRequest,
        ReleaseHoldRequest, RequestErasureRequest, place_hold_request::What,
    },
};
use lethe_retention::{
    certificate::{Attestation as Attested, verify},
    domain::State,
    saga::Advanced,
};
use lethe_service::{Failure, timestamp};
use time::Duration;
use tonic::Status;

use crate::{
    fake::finding,
    fixture::{Fixture, reason, tell},
};

const MODES: [Mode; 4] = [Mode::Everything, Mode::Conversation, Mode::ContactOnly, Mode::Email];

/// Each process claims, does one step and dies with its claim, until nothing is left to do.
async fn in_pieces(fixture: &Fixture, id: ErasureId) -> Vec<String> {
    let mut story = Vec::new();
    loop {
        let saga = lethe_retention::saga(&fixture.config, &fixture.env).await.unwrap();
        let lease = saga.claim(fixture.tenant, id).await.unwrap().expect("it is due");
        let advanced = saga.advance(lease).await.unwrap();
        story.push(tell(&advanced));
        saga.db.close().await;
        match advanced {
            Advanced::Rests => return story,
            Advanced::Waits(at) => {
                fixture.world.clock.advance((at - fixture.world.clock.now()).try_into().unwrap());
            }
            _ => fixture.world.clock.advance(fixture.config.advance_erasures.lease()),
        }
        assert!(story.len() < 100, "{story:?}");
    }
}

#[tokio::test]
async fn each_mode_killed_after_each_step_comes_to_its_end_and_forgets_whose_it_was() {
    let fixture = Fixture::new().await;
    for (number, mode) in (1..).zip(MODES) {
        let (id, contact) = fixture.confirmed_as(mode).await;
        let conversation = fixture.get(id).await.conversation_id;
        let story = in_pieces(&fixture, id).await;
        assert_eq!(story.iter().filter(|line| line.starts_with("did")).count(), 21, "{mode:?}: {story:?}");
        let erasure = fixture.get(id).await;
        assert_eq!(
            (erasure.state(), erasure.mode(), erasure.suppress),
            (ErasureState::ReVerified, mode, true)
        );
        let envelope = fixture.certificate(id).await.unwrap().envelope;
        let statement = verify(&envelope, &fixture.keys_document()).unwrap();
        assert!(statement.suppression);
        let words = ["everything", "conversation", "contact_only", "email"];
        assert_eq!(statement.mode, words[number - 1]);
        // What was there and what was deleted are two figures.
        let messaging = &statement.participants[0];
        assert_eq!((messaging.census[0].count, messaging.evidence[0].count), (3, 5));

        // The ledger: first the addresses, which say nothing of the erasure, then the erasure.
        let chain = fixture.saga.ledger.replay(fixture.tenant).await.unwrap();
        let [.., suppression, erasure] = &chain[..] else { panic!("{}", chain.len()) };
        let text = serde_json::to_string(&suppression.entry).unwrap();
        assert!(!text.contains(&contact.to_string()) && !text.contains(&id.to_string()), "{text}");
        assert_eq!(suppression.entry.suppression.as_ref().unwrap().addresses.len(), 1);
        assert_eq!(erasure.entry.erasure.as_ref().unwrap().contact_id, contact);

        // Nothing in the database says any more which erasure was whose, nor what was suppressed.
        let mut db = fixture.superuser().await;
        let tied: i64 = sqlx::query_scalar(
            "select (select count(*) from erasures where contact_id is not null or conversation_id is not null)
                  + (select count(*) from fences where erasure_id is not null or scope_id is not null)
                  + (select count(*) from erasure_steps where answer is not null)
                  + (select count(*) from idempotency_keys)",
        )
        .fetch_one(&mut db)
        .await
        .unwrap();
        assert_eq!(tied, 0, "{mode:?}");
        // It is not asked for again, unless there may be more of it.
        let again = RequestErasureRequest {
            contact_id: contact.to_string(),
            idempotency: Some(Idempotency { key: format!("again-{number}") }),
            mode: mode.into(),
            conversation_id: conversation,
            ..RequestErasureRequest::default()
        };
        let again = fixture.client().request_erasure(again).await;
        match mode {
            Mode::Email => drop(again.unwrap()),
            Mode::Conversation => assert_eq!(reason(again), "CONVERSATION_NOT_FOUND"),
            _ => assert_eq!(reason(again), "CONTACT_NOT_FOUND"),
        }
        sqlx::query("delete from idempotency_keys").execute(&mut db).await.unwrap();
        for table in ["erasure_participants", "erasures"] {
            let statement = format!(
                "delete from {table} where erasure_id in
                                       (select erasure_id from erasures where state = 'requested')"
            );
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut db).await.unwrap();
        }
    }
}

#[tokio::test]
async fn suppressed_addresses_are_forgotten_once_the_ledger_has_them() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.confirmed_as(Mode::Everything).await;
    let lease = fixture.claim(id).await;
    while fixture.advance(lease).await != Advanced::Entered(State::Fenced) {}
    let answers: Vec<Vec<u8>> =
        sqlx::query_scalar("select answer from erasure_steps where answer is not null")
            .fetch_all(&mut fixture.superuser().await)
            .await
            .unwrap();
    assert!(!answers.is_empty());
    assert!(answers.iter().all(|answer| !answer.windows(32).any(|bytes| bytes == [9; 32])));
    // And from the fence on there is no way back.
    let cancel = CancelErasureRequest { erasure_id: id.to_string() };
    assert_eq!(reason(fixture.client().cancel_erasure(cancel).await), "ERASURE_FENCED");
    assert_eq!(fixture.get(id).await.state(), ErasureState::Fenced);
}

#[tokio::test]
async fn a_recount_keeps_the_first_date_and_lines_keep_how_they_came_to_be_known() {
    let fixture = Fixture::new().await;
    let contact = fixture.contact();
    let first = fixture.request(contact, "one").await.unwrap().erasure.unwrap();
    fixture.world.clock.advance(Duration::days(3).try_into().unwrap());
    let again = fixture.request(contact, "two").await.unwrap();
    let recounted = again.erasure.unwrap();
    assert_eq!(recounted.erasure_id, first.erasure_id);
    assert_eq!((recounted.received_at, recounted.due_at), (first.received_at, first.due_at));

    let all = [
        (Attestation::ReRead, Attested::ReRead),
        (Attestation::EngineFigure, Attested::EngineFigure),
        (Attestation::Declared, Attested::Declared),
        (Attestation::NotLookedAt, Attested::NotLookedAt),
        (Attestation::Residual, Attested::ResidualUntil),
        (Attestation::Held, Attested::Held),
    ];
    let lines = all.map(|(attestation, _)| Finding {
        attestation: attestation.into(),
        until: Some(timestamp(fixture.world.clock.now() + Duration::DAY)),
        ..finding(3, 0)
    });
    fixture.fake("messaging").part().findings = Some(lines.to_vec());
    fixture.confirm(&recounted.erasure_id, &again.confirmation_token).await.unwrap();
    let id: ErasureId = recounted.erasure_id.parse().unwrap();
    fixture.run(id).await;
    let envelope = fixture.certificate(id).await.unwrap().envelope;
    let statement = verify(&envelope, &fixture.keys_document()).unwrap();
    let signed: Vec<Attested> = statement.participants[0].lines.iter().map(|line| line.attestation).collect();
    assert_eq!(signed, all.map(|(_, attested)| attested));
}

impl Fixture {
    async fn place(&self, contact: ContactId, key: &str) -> Result<Hold, Status> {
        let request = PlaceHoldRequest {
            what: Some(What::ContactId(contact.to_string())),
            reason: HoldReason::Litigation.into(),
            case_reference: "2-O-17/26".to_owned(),
            ends_at: Some(timestamp(self.world.clock.now() + Duration::days(2))),
            idempotency: Some(Idempotency { key: key.to_owned() }),
        };
        self.client().place_hold(request).await.map(tonic::Response::into_inner)
    }
}

#[tokio::test]
async fn a_held_contact_queues_its_erasure_until_the_release() {
    let fixture = Fixture::new().await;
    let (id, contact) = fixture.confirmed().await;
    let hold = fixture.place(contact, "h").await.unwrap();
    assert_eq!(hold.state(), HoldState::Active);
    assert_eq!(fixture.place(contact, "h").await.unwrap(), hold, "twice is as once");
    fixture.asked();
    assert_eq!(fixture.run(id).await, ["census_key waits for LEGAL_HOLD", "waits"]);
    assert!(fixture.asked().is_empty(), "nobody is fenced");
    let waits = |participants: Vec<lethe_proto::retention::ParticipantState>| {
        participants.iter().any(|one| one.waits_for == "LEGAL_HOLD")
    };
    assert!(waits(fixture.get(id).await.participants));
    let release = ReleaseHoldRequest { hold_id: hold.hold_id.clone() };
    let released = fixture.client().release_hold(release.clone()).await.unwrap().into_inner();
    assert_eq!(released.state(), HoldState::Released);
    assert_eq!(fixture.client().release_hold(release).await.unwrap().into_inner(), released);
    // Due at once, by itself.
    fixture.run(id).await;
    assert_eq!(fixture.get(id).await.state(), ErasureState::Certified);
    let list = ListHoldsRequest { page: Some(Page { limit: 10, after: Vec::new().into() }) };
    let [kept] = &fixture.client().list_holds(list).await.unwrap().into_inner().holds[..] else { panic!() };
    assert_eq!(
        (kept.contact_id.as_str(), kept.case_reference.as_str()),
        ("", "2-O-17/26"),
        "whose, it forgot"
    );
}

#[tokio::test]
async fn what_messaging_keeps_for_a_hold_is_certified_as_held_and_again_after_the_release() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.confirmed().await;
    let held = Finding { attestation: Attestation::Held.into(), ..finding(3, 3) };
    fixture.fake("messaging").part().findings = Some(vec![finding(0, 0), held]);
    fixture.run(id).await;
    assert_eq!(fixture.get(id).await.state(), ErasureState::Certified);
    let day = fixture.saga.re_verify_after;
    fixture.world.clock.advance(day);
    let story = fixture.run(id).await;
    assert!(story.contains(&"re_verify messaging waits for LEGAL_HOLD".to_owned()), "{story:?}");
    assert_eq!(fixture.get(id).await.state(), ErasureState::Certified);
    // A hold of somebody's is released: it is looked at again at once, and there is something to purge.
    let hold = fixture.place(fixture.contact(), "h").await.unwrap();
    fixture.fake("messaging").part().findings = None;
    fixture.fake("messaging").part().finds = 1;
    let release = ReleaseHoldRequest { hold_id: hold.hold_id };
    fixture.client().release_hold(release).await.unwrap();
    fixture.asked();
    let mut story = fixture.run(id).await;
    while story.last().is_some_and(|line| line == "waits") {
        fixture.world.clock.advance(Duration::minutes(1).try_into().unwrap());
        story.extend(fixture.run(id).await);
    }
    assert!(fixture.asked().contains(&"messaging.purge".to_owned()));
    assert_eq!(fixture.get(id).await.state(), ErasureState::ReVerified);
}

#[tokio::test]
async fn a_hold_ends_by_itself_and_one_that_is_refused_is_none() {
    let fixture = Fixture::new().await;
    let contact = fixture.contact();
    let refused: Status = Failure::precondition("BEING_ERASED", "as the test wants it").into();
    fixture.fake("messaging").part().refusals.push_back(refused);
    assert_eq!(reason(fixture.place(contact, "refused").await), "BEING_ERASED");
    let list = || ListHoldsRequest { page: Some(Page { limit: 10, after: Vec::new().into() }) };
    assert!(fixture.client().list_holds(list()).await.unwrap().into_inner().holds.is_empty());

    fixture.place(contact, "h").await.unwrap();
    let due = std::sync::Arc::new(tokio::sync::Notify::new());
    let job = lethe_retention::jobs::settle_holds(&fixture.saga, &fixture.world.tasks, &due);
    fixture.world.clock.advance(Duration::days(2).try_into().unwrap());
    fixture.world.tasks.spawn(job.name, job.run);
    let ended = async {
        loop {
            let holds = fixture.client().list_holds(list()).await.unwrap().into_inner().holds;
            if holds[0].state() == HoldState::Released {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), ended).await.expect("its end releases it");
    fixture.world.stop().await;
}

/// A part that a hold keeps from beginning keeps the whole waiting no longer, however long the hold lasts.
#[tokio::test]
async fn the_whole_does_not_wait_for_a_part_that_waits_for_a_hold() {
    let fixture = Fixture::new().await;
    let contact = fixture.contact();
    let ask = async |mode: Mode, conversation: String| {
        let request = RequestErasureRequest {
            contact_id: contact.to_string(),
            idempotency: Some(Idempotency { key: format!("k{}", mode as i32) }),
            mode: mode.into(),
            conversation_id: conversation,
            ..RequestErasureRequest::default()
        };
        let answer = fixture.client().request_erasure(request).await.unwrap().into_inner();
        let id = answer.erasure.unwrap().erasure_id;
        fixture.confirm(&id, &answer.confirmation_token).await.unwrap();
        id.parse::<ErasureId>().unwrap()
    };
    let part = ask(Mode::Conversation, ConversationId::new(fixture.world.entropy.uuid4()).to_string()).await;
    let refused: Status = Failure::precondition("LEGAL_HOLD_ACTIVE", "as the test wants it").into();
    fixture.fake("messaging").part().refusals.push_back(refused);
    let story = fixture.run(part).await;
    assert_eq!(story, ["did census_key", "fence messaging waits for LEGAL_HOLD", "waits"]);
    let cancel = CancelErasureRequest { erasure_id: part.to_string() };
    assert_eq!(reason(fixture.client().cancel_erasure(cancel).await), "ERASURE_FENCED");

    let whole = ask(Mode::Everything, String::new()).await;
    fixture.run(whole).await;
    assert_eq!(fixture.get(whole).await.state(), ErasureState::Certified);
    assert_eq!(fixture.get(part).await.state(), ErasureState::Cancelled, "nothing is left for it to do");
}
