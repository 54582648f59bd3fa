//! What members ask about their own data: recorded with its due date, answered by whoever may erase, and gone with the member.

use std::time::Duration;

use lethe_access::Role;
use lethe_proto::{
    identity::{
        CloseMemberRequestRequest, DeactivateMemberRequest, EraseMemberRequest, GetMemberErasureRequest,
        ListAuditEventsRequest, ListMemberRequestsRequest, ListOwnRequestsRequest, MakeOwnRequestRequest,
        MemberErasureMode, MemberRequest, MemberRequestKind, MemberRequestRefusal, MemberRequestState,
        person_service_client::PersonServiceClient,
    },
    request::{Idempotency, Page},
};
use lethe_service::PeerChannel;
use lethe_testkit::Databases;
use sqlx::Connection;

use crate::rig::{Rig, Someone, dump, field, reason};

fn person(rig: &Rig, someone: &Someone) -> PersonServiceClient<PeerChannel> {
    PersonServiceClient::new(rig.world.client("gateway", "identity", Some(someone.principal.clone())))
}

fn asks(kind: MemberRequestKind, grounds: &str, key: &str) -> MakeOwnRequestRequest {
    let idempotency = Some(Idempotency { key: key.into() });
    MakeOwnRequestRequest { kind: kind.into(), grounds: grounds.into(), idempotency }
}

fn refuse(request: &MemberRequest, answer: &str) -> CloseMemberRequestRequest {
    CloseMemberRequestRequest {
        member_request_id: request.member_request_id.clone(),
        state: MemberRequestState::Refused.into(),
        refusal: MemberRequestRefusal::LegalClaims.into(),
        answer: answer.into(),
        confirmation: String::new(),
    }
}

fn grant(request: &MemberRequest, confirmation: &str) -> CloseMemberRequestRequest {
    CloseMemberRequestRequest {
        member_request_id: request.member_request_id.clone(),
        state: MemberRequestState::Granted.into(),
        confirmation: confirmation.into(),
        ..CloseMemberRequestRequest::default()
    }
}

async fn deactivate(rig: &Rig, owner: &Someone, member: &Someone) {
    let request = DeactivateMemberRequest { member_id: member.member.member_id.clone() };
    rig.as_member(&owner.principal).deactivate_member(request).await.unwrap();
}

async fn own(rig: &Rig, someone: &Someone) -> Vec<MemberRequest> {
    let listed = person(rig, someone).list_own_requests(ListOwnRequestsRequest { page: None }).await;
    listed.unwrap().into_inner().requests
}

#[tokio::test]
async fn make_own_request_is_due_in_a_month_once_and_seen_by_who_may_erase() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = rig.member(&owner, "ada@example.com", &[Role::Agent]).await;
    let officer = rig.member(&owner, "officer@example.com", &[Role::PrivacyOfficer]).await;
    let auditor = rig.member(&owner, "auditor@example.com", &[Role::Auditor]).await;
    let mut client = person(&rig, &ada);
    let objection = asks(MemberRequestKind::Objection, "two\nlines", "key-1");
    let made = client.make_own_request(objection.clone()).await.unwrap().into_inner();
    assert_eq!((made.state(), made.grounds.as_str()), (MemberRequestState::Open, "two\nlines"));
    let received = made.received_at.as_ref().unwrap().seconds;
    let due = lethe_service::instant(made.due_at.as_ref().unwrap(), "").unwrap();
    let received_at = time::OffsetDateTime::from_unix_timestamp(received).unwrap();
    assert!((28..=36).contains(&(due - received_at).whole_days()), "a month, and not on a day off: {due}");
    assert_eq!((due.hour(), due.minute(), due.second()), (23, 59, 59));

    // Twice is as once; another body under the key is refused, and so is a second one of the kind while the first waits.
    assert_eq!(client.make_own_request(objection.clone()).await.unwrap().into_inner(), made);
    let other = asks(MemberRequestKind::Objection, "other words", "key-1");
    assert_eq!(reason(client.make_own_request(other).await), "IDEMPOTENCY_KEY_REUSED");
    let second = asks(MemberRequestKind::Objection, "", "key-2");
    assert_eq!(reason(client.make_own_request(second).await), "REQUEST_OPEN");
    for (wrong, at) in [
        (MakeOwnRequestRequest { kind: 0, ..objection.clone() }, "kind"),
        (MakeOwnRequestRequest { kind: 3, ..objection.clone() }, "kind"),
        (asks(MemberRequestKind::Erasure, &"x".repeat(2_001), "key-3"), "grounds"),
        (asks(MemberRequestKind::Erasure, "", "not a key!"), "idempotency.key"),
    ] {
        assert_eq!(field(client.make_own_request(wrong).await), at);
    }
    let erasure = client.make_own_request(asks(MemberRequestKind::Erasure, "", "key-4")).await.unwrap();
    assert_eq!(own(&rig, &ada).await.len(), 2);
    assert!(own(&rig, &officer).await.is_empty(), "others' are not one's own");

    let all = ListMemberRequestsRequest::default;
    assert_eq!(reason(client.list_member_requests(all()).await), "PERMISSION_DENIED");
    assert_eq!(reason(person(&rig, &auditor).list_member_requests(all()).await), "PERMISSION_DENIED");
    let mut by_officer = person(&rig, &officer);
    let listed = by_officer.list_member_requests(all()).await.unwrap().into_inner().requests;
    assert_eq!(listed, [made.clone(), erasure.into_inner()]);
    let first = ListMemberRequestsRequest { page: Some(Page { limit: 1, ..Page::default() }), ..all() };
    let page = by_officer.list_member_requests(first).await.unwrap().into_inner();
    let rest = ListMemberRequestsRequest { page: Some(Page { limit: 1, after: page.next }), ..all() };
    let rest = by_officer.list_member_requests(rest).await.unwrap().into_inner();
    assert_eq!([page.requests, rest.requests].concat(), listed);
    assert!(rest.next.is_empty());
    let refused = ListMemberRequestsRequest { state: MemberRequestState::Refused.into(), ..all() };
    assert!(by_officer.list_member_requests(refused).await.unwrap().into_inner().requests.is_empty());
    let wrong = ListMemberRequestsRequest { state: 9, ..all() };
    assert_eq!(field(by_officer.list_member_requests(wrong).await), "state");
    let stranger = rig.owner("other").await;
    let elsewhere = person(&rig, &stranger).list_member_requests(all()).await.unwrap().into_inner();
    assert!(elsewhere.requests.is_empty());
    assert_eq!(
        reason(person(&rig, &stranger).close_member_request(refuse(&made, "")).await),
        "MEMBER_REQUEST_NOT_FOUND"
    );
    let asked =
        ListAuditEventsRequest { action: "MakeOwnRequest".into(), ..ListAuditEventsRequest::default() };
    let asked = rig.as_member(&owner.principal).list_audit_events(asked).await.unwrap().into_inner().events;
    let details: Vec<_> = asked.iter().map(|event| event.detail.as_str()).collect();
    assert_eq!(details, ["erasure", "objection"]);
    let dumped = dump(&rig.config.database).await;
    for clear in ["two\nlines", "two\\nlines", &hex(b"two\nlines")] {
        assert!(!dumped.contains(clear), "the words are sealed");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn close_member_request_is_answered_once_and_the_member_reads_it() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = rig.member(&owner, "ada@example.com", &[Role::Agent]).await;
    let officer = rig.member(&owner, "officer@example.com", &[Role::PrivacyOfficer]).await;
    let made = person(&rig, &ada).make_own_request(asks(MemberRequestKind::Objection, "mine", "key-1")).await;
    let made = made.unwrap().into_inner();
    let mut by_officer = person(&rig, &officer);
    let refusal = refuse(&made, "Until the case is closed.");
    for (wrong, at) in [
        (CloseMemberRequestRequest { state: 1, ..refusal.clone() }, "state"),
        (CloseMemberRequestRequest { refusal: 0, ..refusal.clone() }, "refusal"),
        (CloseMemberRequestRequest { state: 2, ..refusal.clone() }, "refusal"),
        (CloseMemberRequestRequest { answer: "x".repeat(2_001), ..refusal.clone() }, "answer"),
        (
            CloseMemberRequestRequest { member_request_id: "req_x".into(), ..refusal.clone() },
            "member_request_id",
        ),
    ] {
        assert_eq!(field(by_officer.close_member_request(wrong).await), at);
    }
    assert_eq!(reason(person(&rig, &ada).close_member_request(refusal.clone()).await), "PERMISSION_DENIED");
    let closed = by_officer.close_member_request(refusal.clone()).await.unwrap().into_inner();
    assert_eq!(closed.state(), MemberRequestState::Refused);
    assert_eq!(closed.refusal(), MemberRequestRefusal::LegalClaims);
    assert_eq!(closed.closed_by, officer.member.member_id);
    assert_eq!((closed.grounds.as_str(), closed.answer.as_str()), ("mine", "Until the case is closed."));
    assert_eq!(by_officer.close_member_request(refusal.clone()).await.unwrap().into_inner(), closed);
    for otherwise in [grant(&made, ""), refuse(&made, "Other words.")] {
        assert_eq!(reason(by_officer.close_member_request(otherwise).await), "REQUEST_CLOSED");
    }
    assert_eq!(own(&rig, &ada).await, [closed], "the member reads why");
    // Answered, it does not stand in the way of another.
    let again = person(&rig, &ada).make_own_request(asks(MemberRequestKind::Objection, "", "key-2")).await;
    let granted = by_officer.close_member_request(grant(&again.unwrap().into_inner(), "")).await.unwrap();
    assert_eq!(granted.into_inner().state(), MemberRequestState::Granted);
    let events =
        ListAuditEventsRequest { action: "CloseMemberRequest".into(), ..ListAuditEventsRequest::default() };
    let events = rig.as_member(&owner.principal).list_audit_events(events).await.unwrap().into_inner().events;
    let details: Vec<_> = events.iter().map(|event| event.detail.as_str()).collect();
    assert_eq!(details, ["granted", "refused_legal_claims"]);
}

#[tokio::test]
async fn a_granted_erasure_erases_under_its_own_rules_and_takes_the_words_away() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = rig.member(&owner, "ada@example.com", &[Role::Agent]).await;
    let officer = rig.member(&owner, "officer@example.com", &[Role::PrivacyOfficer]).await;
    let me = ada.member.member_id.clone();
    let mut client = person(&rig, &ada);
    let objection = client.make_own_request(asks(MemberRequestKind::Objection, "mine", "key-1")).await;
    let objection = objection.unwrap().into_inner();
    let erasure = client.make_own_request(asks(MemberRequestKind::Erasure, "all of it", "key-2")).await;
    let erasure = erasure.unwrap().into_inner();
    let mut by_officer = person(&rig, &officer);
    assert_eq!(field(by_officer.close_member_request(grant(&erasure, "yes")).await), "confirmation");
    let told = CloseMemberRequestRequest { answer: "Farewell".into(), ..grant(&erasure, &me) };
    assert_eq!(field(by_officer.close_member_request(told).await), "answer");
    assert_eq!(reason(by_officer.close_member_request(grant(&erasure, &me)).await), "MEMBER_ACTIVE");
    deactivate(&rig, &owner, &ada).await;

    // The profile alone: the words go, the requests wait on.
    let profile = EraseMemberRequest {
        member_id: me.clone(),
        mode: MemberErasureMode::Profile.into(),
        first_name: String::new(),
        confirmation: me.clone(),
    };
    by_officer.erase_member(profile).await.unwrap();
    let open = ListMemberRequestsRequest { state: MemberRequestState::Open.into(), page: None };
    let waiting = by_officer.list_member_requests(open.clone()).await.unwrap().into_inner().requests;
    assert_eq!(waiting.len(), 2);
    assert!(waiting.iter().all(|request| request.grounds.is_empty()));

    let granted = by_officer.close_member_request(grant(&erasure, &me)).await.unwrap().into_inner();
    assert_eq!(granted.state(), MemberRequestState::Granted);
    assert_eq!(granted.closed_by, officer.member.member_id);
    assert_eq!(by_officer.close_member_request(grant(&erasure, &me)).await.unwrap().into_inner(), granted);
    let erased = by_officer.get_member_erasure(GetMemberErasureRequest { member_id: me.clone() }).await;
    let erased = erased.unwrap().into_inner();
    assert_eq!(erased.mode(), MemberErasureMode::All);
    assert!(erased.erased_at.is_some() && erased.findings.iter().all(|finding| finding.found == 0));
    assert!(erased.findings.iter().any(|finding| finding.kind == "member_requests.grounds"));
    assert!(by_officer.list_member_requests(open).await.unwrap().into_inner().requests.is_empty());
    let was = by_officer.close_member_request(grant(&objection, "")).await.unwrap().into_inner();
    assert_eq!(was.state(), MemberRequestState::Granted, "whose data is gone is used no more");

    // The verifier disbelieves: words that a defect would have left.
    let mut database = Databases::superuser(&rig.config.database).await;
    for (plant, undo) in [
        ("update member_requests set grounds = 'x'", "update member_requests set grounds = null"),
        ("update member_requests set answer = 'x'", "update member_requests set answer = null"),
        (
            "update member_requests set state = 1, closed_at = null, closed_by = null",
            "update member_requests set state = 2, closed_at = received_at, closed_by = 'mem_x'",
        ),
    ] {
        let again =
            "update member_erasures set erased_at = null, findings = '[]', next_attempt_at = '2000-01-01'";
        sqlx::query(again).execute(&mut database).await.unwrap();
        sqlx::query(plant).execute(&mut database).await.unwrap();
        rig.world.clock.advance(Duration::from_secs(7_200));
        lethe_identity::jobs::finish_member_erasures::round(&rig.identity).await.unwrap();
        let unfinished: i64 =
            sqlx::query_scalar("select count(*) from member_erasures where erased_at is null and mode = 2")
                .fetch_one(&mut database)
                .await
                .unwrap();
        assert_eq!(unfinished, 1, "{plant}");
        sqlx::query(undo).execute(&mut database).await.unwrap();
    }
}

/// Does something to Ada's row that stands once `ask` waits for it; answers what came of that.
async fn meanwhile<T>(rig: &Rig, change: &'static str, ask: impl Future<Output = T>) -> T {
    let mut database = Databases::superuser(&rig.config.database).await;
    let mut tx = database.begin().await.unwrap();
    sqlx::query(change).execute(&mut *tx).await.unwrap();
    let waited = async {
        let mut looking = Databases::superuser(&rig.config.database).await;
        for _ in 0..5_000 {
            let waiting: bool = sqlx::query_scalar(
                "select exists (select from pg_stat_activity
                  where datname = current_database() and wait_event_type = 'Lock')",
            )
            .fetch_one(&mut looking)
            .await
            .unwrap();
            if waiting {
                return tx.commit().await.unwrap();
            }
            tokio::task::yield_now().await;
        }
        panic!("nobody waits");
    };
    tokio::join!(ask, waited).0
}

#[tokio::test]
async fn nothing_is_sealed_for_a_member_who_is_deactivated_or_erased_meanwhile() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = rig.member(&owner, "ada@example.com", &[Role::Agent]).await;
    let (mut by_ada, mut by_owner) = (person(&rig, &ada), person(&rig, &owner));
    let made = by_ada.make_own_request(asks(MemberRequestKind::Objection, "mine", "key-1")).await;
    let made = made.unwrap().into_inner();

    let gone = "update members set active = false where roles = '{3}'";
    let another = by_ada.make_own_request(asks(MemberRequestKind::Erasure, "", "key-2"));
    assert_eq!(reason(meanwhile(&rig, gone, another).await), "MEMBER_INACTIVE");
    // What an erasure of the profile does to the row: what stays is under another secret.
    let moved = "update members set unit_id = gen_random_uuid() where roles = '{3}'";
    let refused = by_owner.close_member_request(refuse(&made, "Until the case is closed."));
    assert_eq!(reason(meanwhile(&rig, moved, refused).await), "MEMBER_ERASED");
}
