//! The audit log: own events, and those of other services by the bus, each once.

use std::{sync::Arc, time::Duration};

use async_nats::HeaderMap;
use lethe_access::Role;
use lethe_identity::events::AuditEvents;
use lethe_ids::{AuditId, ContactId, EventId, MemberId, TenantId};
use lethe_outbox::{Consume, ConsumeError, Notification};
use lethe_proto::{
    event::AuditRecorded,
    identity::{AuditEvent, ListAuditEventsRequest, RevokeRoleRequest},
    request::Page,
};
use lethe_testkit::Databases;
use prost::Message;
use uuid::Uuid;

use crate::rig::{Rig, Someone, field, new_member, reason};

pub(crate) fn tenant_of(someone: &Someone) -> TenantId {
    TenantId::new(Uuid::try_parse(&someone.token[6..38]).unwrap())
}

/// messaging says that a member did something to a contact.
pub(crate) fn recorded(rig: &Rig, contact: Option<ContactId>) -> AuditRecorded {
    AuditRecorded {
        audit_id: AuditId::new(rig.world.entropy.uuid7(&rig.world.clock)).to_string(),
        at_ms: rig.world.clock.millis(),
        actor_kind: "member".into(),
        actor_id: MemberId::new(Uuid::from_u128(5)).to_string(),
        action: "DeleteMessage".into(),
        target_kind: "message".into(),
        target_id: "msg_00000000000070008000000000000001".into(),
        contact_id: contact.map(|contact| contact.to_string()).unwrap_or_default(),
        request_id: "r-1".into(),
    }
}

pub(crate) fn notification(rig: &Rig, tenant: TenantId, event: &AuditRecorded) -> Notification {
    Notification {
        event_id: EventId::new(rig.world.entropy.uuid7(&rig.world.clock)),
        tenant,
        kind: "messaging.audit.recorded".into(),
        payload: event.encode_to_vec().into(),
        at: rig.world.clock.now(),
        attempt: 1,
        trace: None,
        span: tracing::Span::none(),
    }
}

pub(crate) async fn events(rig: &Rig, owner: &Someone, filter: ListAuditEventsRequest) -> Vec<AuditEvent> {
    rig.as_member(&owner.principal).list_audit_events(filter).await.unwrap().into_inner().events
}

#[tokio::test]
async fn what_members_do_is_written_down_with_it() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = rig.member(&owner, "ada@example.com", &[Role::Agent]).await;
    let revoke = RevokeRoleRequest { member_id: ada.member.member_id.clone(), role: Role::Agent.into() };
    rig.as_member(&owner.principal).revoke_role(revoke).await.unwrap();
    assert!(rig.log_in("acme", "ada@example.com", "wrong").await.is_err());
    let all = events(&rig, &owner, ListAuditEventsRequest::default()).await;
    let mut actions: Vec<_> = all.iter().map(|event| event.action.as_str()).collect();
    actions.sort_unstable();
    let expected = [
        "ChangePassword",
        "ChangePassword",
        "CreateMember",
        "CreateMember",
        "CreateTenant",
        "LogIn",
        "LogIn",
        "LogInFailed",
        "RevokeRole",
    ];
    assert_eq!(actions, expected);
    let about = all.iter().find(|event| event.action == "RevokeRole").unwrap();
    assert_eq!((about.actor_kind.as_str(), &about.actor_id), ("member", &owner.member.member_id));
    assert_eq!((about.target_kind.as_str(), &about.target_id), ("member", &ada.member.member_id));
    assert!(about.service == "identity" && !about.request_id.is_empty());
    let operator = all.iter().find(|event| event.action == "CreateTenant").unwrap();
    assert_eq!((operator.actor_kind.as_str(), operator.actor_id.as_str()), ("service", "operator"));
}

#[tokio::test]
async fn list_audit_events_filters_and_pages() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    rig.world.clock.advance(Duration::from_secs(10));
    for number in 0..3 {
        let member = new_member(&format!("m{number}@example.com"), &[]);
        rig.as_member(&owner.principal).create_member(member).await.unwrap();
    }
    let created = ListAuditEventsRequest { action: "CreateMember".into(), ..Default::default() };
    assert_eq!(events(&rig, &owner, created.clone()).await.len(), 4);
    let by_owner = ListAuditEventsRequest { actor_id: owner.member.member_id.clone(), ..created.clone() };
    assert_eq!(events(&rig, &owner, by_owner).await.len(), 3);
    let now = rig.world.clock.now();
    let since = ListAuditEventsRequest { from: Some(lethe_service::timestamp(now)), ..created.clone() };
    assert_eq!(events(&rig, &owner, since).await.len(), 3);
    let until = ListAuditEventsRequest { until: Some(lethe_service::timestamp(now)), ..created.clone() };
    assert_eq!(events(&rig, &owner, until).await.len(), 1);
    let target = ListAuditEventsRequest { target_id: owner.member.member_id.clone(), ..created.clone() };
    assert_eq!(events(&rig, &owner, target).await.len(), 1);

    let mut client = rig.as_member(&owner.principal);
    let (mut seen, mut after) = (0, tonic::codegen::Bytes::new());
    loop {
        let request = ListAuditEventsRequest { page: Some(Page { limit: 3, after }), ..created.clone() };
        let page = client.list_audit_events(request).await.unwrap().into_inner();
        seen += page.events.len();
        after = page.next;
        if after.is_empty() {
            break;
        }
    }
    assert_eq!(seen, 4);
    let long = ListAuditEventsRequest { action: "x".repeat(101), ..Default::default() };
    assert_eq!(field(client.list_audit_events(long).await), "action");
    let agent = rig.member(&owner, "agent@example.com", &[Role::Agent]).await;
    let denied = rig.as_member(&agent.principal).list_audit_events(ListAuditEventsRequest::default()).await;
    assert_eq!(reason(denied), "PERMISSION_DENIED");
}

#[tokio::test]
async fn an_event_that_comes_twice_is_one_row() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let consumer = AuditEvents(rig.identity.clone());
    let event = recorded(&rig, Some(ContactId::new(Uuid::from_u128(9))));
    let first = notification(&rig, tenant_of(&owner), &event);
    // Delivered twice, and the same audit event once more under another event id (a republished outbox row).
    let again = notification(&rig, tenant_of(&owner), &event);
    for answer in consumer.consume(vec![first.clone(), first, again]).await {
        answer.unwrap();
    }
    let filter = ListAuditEventsRequest { action: "DeleteMessage".into(), ..Default::default() };
    let rows = events(&rig, &owner, filter).await;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].service.as_str(), rows[0].audit_id.as_str()), ("messaging", event.audit_id.as_str()));
    assert_eq!(
        (rows[0].actor_id.as_str(), rows[0].target_id.as_str()),
        (event.actor_id.as_str(), event.target_id.as_str())
    );
}

#[tokio::test]
async fn what_is_no_audit_event_is_refused_for_good() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let consumer = AuditEvents(rig.identity.clone());
    let changes: [fn(&mut AuditRecorded); 5] = [
        |event| event.audit_id = "x".into(),
        |event| event.actor_kind = "ghost".into(),
        |event| event.actor_id = "x".into(),
        |event| event.contact_id = "x".into(),
        |event| event.target_id = "x".repeat(1_000),
    ];
    for change in changes {
        let mut event = recorded(&rig, None);
        change(&mut event);
        let answer = consumer.record(notification(&rig, tenant_of(&owner), &event)).await;
        assert!(matches!(answer, Err(ConsumeError::Reject("AUDIT_EVENT_MALFORMED"))), "{event:?}");
    }
    let mut own = notification(&rig, tenant_of(&owner), &recorded(&rig, None));
    own.kind = "identity.audit.recorded".into();
    assert!(consumer.record(own).await.is_err(), "nobody speaks for identity");
}

#[tokio::test]
async fn events_arrive_by_the_bus() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let tenant = tenant_of(&owner);
    let nats = rig.world.nats.connect("messaging").await;
    let event = recorded(&rig, None);
    let subject = format!("lethe.evt.messaging.audit.recorded.v1.{}", tenant.uuid().simple());
    let mut headers = HeaderMap::new();
    headers.insert("ce-id", EventId::new(Uuid::from_u128(77)).to_string());
    headers.insert("ce-time", "2026-11-22T12:00:00Z");
    // The consumer makes the stream when it is the first to need it.
    let sent = async {
        loop {
            let publish = nats.jetstream().publish_with_headers(
                subject.clone(),
                headers.clone(),
                event.encode_to_vec().into(),
            );
            if let Ok(acknowledged) = publish.await
                && acknowledged.await.is_ok()
            {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), sent).await.unwrap();
    let filter = ListAuditEventsRequest { action: "DeleteMessage".into(), ..Default::default() };
    let start = std::time::Instant::now();
    while events(&rig, &owner, filter.clone()).await.is_empty() {
        assert!(start.elapsed() < Duration::from_secs(20), "the event never arrived");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    rig.world.stop().await;
}

#[tokio::test]
async fn every_row_has_its_salts_and_a_leaf_of_its_own() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let consumer = Arc::new(AuditEvents(rig.identity.clone()));
    for _ in 0..3 {
        consumer.record(notification(&rig, tenant_of(&owner), &recorded(&rig, None))).await.unwrap();
    }
    let mut connection = Databases::superuser(&rig.config.database).await;
    let (rows, salts, abouts, leaves): (i64, i64, i64, i64) = sqlx::query_as(
        "select count(*), count(distinct salt), count(distinct about_salt), count(distinct leaf_hash)
           from audit_events where octet_length(salt) = 32 and octet_length(leaf_hash) = 32",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert!(
        rows >= 7 && salts == rows && abouts == rows && leaves == rows,
        "{rows} {salts} {abouts} {leaves}"
    );
}
