//! Identity as a participant: the contact's id goes from the audit log, who acted stays, and nothing late brings it back.

use lethe_identity::{
    domain::audit::{Actor, AuditEvent, Target},
    events::AuditEvents,
};
use lethe_ids::{ContactId, ErasureId, MemberId, ScopeId};
use lethe_proto::{
    erasure::{
        Attestation, CountRequest, FenceRequest, PurgeRequest, Scope, VerifyAbsentRequest,
        VerifyAbsentResponse,
    },
    identity::ListAuditEventsRequest,
};
use lethe_testkit::Databases;
use sqlx::Row;
use uuid::Uuid;

use crate::{
    audit::{events, notification, recorded, tenant_of},
    rig::{Rig, Someone, dump, field, reason},
};

const KEY: [u8; 32] = [7; 32];

fn contact() -> ContactId {
    ContactId::new(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_00c0))
}

fn scope(owner: &Someone) -> Scope {
    Scope {
        scope_id: ScopeId::new(Uuid::from_u128(0x51)).to_string(),
        tenant_id: tenant_of(owner).to_string(),
        erasure_id: ErasureId::new(Uuid::from_u128(0xe1)).to_string(),
        contact_id: contact().to_string(),
        ..Scope::default()
    }
}

fn fence(scope: &Scope) -> FenceRequest {
    FenceRequest { scope: Some(scope.clone()), census_key: KEY.to_vec().into() }
}

fn purge(scope: &Scope) -> PurgeRequest {
    PurgeRequest { scope: Some(scope.clone()), census_key: KEY.to_vec().into() }
}

fn verify(scope: &Scope) -> VerifyAbsentRequest {
    VerifyAbsentRequest { scope: Some(scope.clone()), census_key: KEY.to_vec().into() }
}

fn found(answer: &VerifyAbsentResponse) -> u64 {
    answer.findings.iter().map(|finding| finding.found).sum()
}

/// An owner's tenant with three events about the contact and two about others.
async fn scene(rig: &Rig) -> Someone {
    let owner = rig.owner("acme").await;
    let consumer = AuditEvents(rig.identity.clone());
    let other = ContactId::new(Uuid::from_u128(0xbb));
    for about in [Some(contact()), Some(other), Some(contact()), None, Some(contact())] {
        consumer.record(notification(rig, tenant_of(&owner), &recorded(rig, about))).await.unwrap();
    }
    owner
}

#[tokio::test]
async fn an_erasure_replaces_the_contact_by_its_alias() {
    let rig = Rig::new().await;
    let owner = scene(&rig).await;
    let (scope, mut client) = (scope(&owner), rig.participant());
    let counted = client.count(CountRequest { scope: Some(scope.clone()) }).await.unwrap().into_inner();
    assert!(counted.known && counted.tallies[0].count == 3 && counted.tallies[0].kind == "audit_events");
    let fenced = client.fence(fence(&scope)).await.unwrap().into_inner();
    assert_eq!(fenced.tallies[0].count, 3);
    assert_eq!(client.fence(fence(&scope)).await.unwrap().into_inner(), fenced, "twice is as once");
    let before = client.verify_absent(verify(&scope)).await.unwrap().into_inner();
    assert!(found(&before) >= 6, "nothing is purged yet: {before:?}");

    let done = client.purge(purge(&scope)).await.unwrap().into_inner();
    assert_eq!(done.evidence[0].count, 3);
    assert_eq!(client.purge(purge(&scope)).await.unwrap().into_inner(), done, "twice is as once");
    let after = client.verify_absent(verify(&scope)).await.unwrap().into_inner();
    assert_eq!(found(&after), 0, "{after:?}");
    let re_read: Vec<_> = after.findings.iter().filter(|f| f.attestation() == Attestation::ReRead).collect();
    assert!(re_read.iter().any(|f| f.kind == "audit_events" && f.looked_for == 3));
    assert!(re_read.iter().any(|f| f.kind == "audit_events.contact_id"), "the catalogue's columns are read");
    // A later verification no longer knows the contact's id.
    let nameless = Scope { contact_id: String::new(), ..scope.clone() };
    assert_eq!(found(&client.verify_absent(verify(&nameless)).await.unwrap().into_inner()), 0);

    let aliased = ListAuditEventsRequest { target_id: scope.erasure_id.clone(), ..Default::default() };
    let rows = events(&rig, &owner, aliased).await;
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.actor_id == MemberId::new(Uuid::from_u128(5)).to_string()));
    assert!(rows.iter().all(|row| row.action == "DeleteMessage" && row.target_kind == "message"));
    let text = dump(&rig.config.database).await;
    assert!(!text.contains(&contact().uuid().to_string()) && !text.contains(&contact().to_string()));
    assert!(text.contains(&Uuid::from_u128(0xbb).to_string()), "the other contact's events stay");
}

#[tokio::test]
async fn a_late_event_about_a_fenced_contact_comes_in_under_the_alias() {
    let rig = Rig::new().await;
    let owner = scene(&rig).await;
    let (scope, mut client) = (scope(&owner), rig.participant());
    let consumer = AuditEvents(rig.identity.clone());
    client.fence(fence(&scope)).await.unwrap();
    let late = || notification(&rig, tenant_of(&owner), &recorded(&rig, Some(contact())));
    consumer.record(late()).await.unwrap();
    client.purge(purge(&scope)).await.unwrap();
    consumer.record(late()).await.unwrap();
    assert_eq!(found(&client.verify_absent(verify(&scope)).await.unwrap().into_inner()), 0);
    let aliased = ListAuditEventsRequest { target_id: scope.erasure_id, ..Default::default() };
    assert_eq!(events(&rig, &owner, aliased).await.len(), 5);
    // In another tenant the same id is somebody else.
    let stranger = rig.owner("other").await;
    consumer
        .record(notification(&rig, tenant_of(&stranger), &recorded(&rig, Some(contact()))))
        .await
        .unwrap();
    let theirs = ListAuditEventsRequest { action: "DeleteMessage".into(), ..Default::default() };
    assert!(events(&rig, &stranger, theirs).await[0].target_id.starts_with("msg_"));
}

#[tokio::test]
async fn a_person_who_was_two_contacts_goes_under_both_ids_and_late_events_with_it() {
    let rig = Rig::new().await;
    let owner = scene(&rig).await;
    let other = ContactId::new(Uuid::from_u128(0xbb));
    let scope = Scope { other_contact_ids: vec![other.to_string()], ..scope(&owner) };
    let mut client = rig.participant();
    let counted = client.count(CountRequest { scope: Some(scope.clone()) }).await.unwrap().into_inner();
    assert_eq!(counted.tallies[0].count, 4);
    assert_eq!(client.fence(fence(&scope)).await.unwrap().into_inner().tallies, counted.tallies);
    assert!(found(&client.verify_absent(verify(&scope)).await.unwrap().into_inner()) >= 8);
    let consumer = AuditEvents(rig.identity.clone());
    for about in [contact(), other] {
        consumer.record(notification(&rig, tenant_of(&owner), &recorded(&rig, Some(about)))).await.unwrap();
    }
    assert_eq!(client.purge(purge(&scope)).await.unwrap().into_inner().evidence[0].count, 4);
    let nameless = Scope { contact_id: String::new(), other_contact_ids: Vec::new(), ..scope.clone() };
    let after = client.verify_absent(verify(&nameless)).await.unwrap().into_inner();
    assert_eq!(found(&after), 0, "{after:?}");
    assert!(after.findings.iter().any(|f| f.kind == "audit_events.contact_id" && f.looked_for == 2));
    let text = dump(&rig.config.database).await;
    assert!(!text.contains(&contact().uuid().to_string()) && !text.contains(&other.uuid().to_string()));
}

#[tokio::test]
async fn the_leaf_of_an_aliased_row_can_still_be_computed() {
    let rig = Rig::new().await;
    let owner = scene(&rig).await;
    let (scope, mut client) = (scope(&owner), rig.participant());
    client.fence(fence(&scope)).await.unwrap();
    client.purge(purge(&scope)).await.unwrap();
    let late = notification(&rig, tenant_of(&owner), &recorded(&rig, Some(contact())));
    AuditEvents(rig.identity.clone()).record(late).await.unwrap();
    let mut connection = Databases::superuser(&rig.config.database).await;
    let rows = sqlx::query(
        "select audit_id, at, service, actor_id, action, target_kind, target_id, request_id, salt, about_commitment,
                leaf_hash, about_salt is null and contact_id is null as forgotten
           from audit_events where erasure_id is not null",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert!(row.get::<bool, _>("forgotten"));
        let event = AuditEvent {
            id: lethe_ids::AuditId::new(row.get("audit_id")),
            at: row.get("at"),
            service: row.get("service"),
            actor: Actor::Member(row.get::<String, _>("actor_id").parse().unwrap()),
            action: row.get("action"),
            target: Target { kind: row.get("target_kind"), id: row.get("target_id"), contact: None },
            request_id: row.get("request_id"),
            detail: String::new(),
        };
        let bytes = |name: &str| <[u8; 32]>::try_from(row.get::<Vec<u8>, _>(name)).unwrap();
        assert_eq!(event.leaf_hash(&bytes("salt"), &bytes("about_commitment")), bytes("leaf_hash"));
    }
}

#[tokio::test]
async fn the_verifier_finds_what_the_eraser_missed() {
    let rig = Rig::new().await;
    let owner = scene(&rig).await;
    let (scope, mut client) = (scope(&owner), rig.participant());
    client.fence(fence(&scope)).await.unwrap();
    client.purge(purge(&scope)).await.unwrap();
    let mut connection = Databases::superuser(&rig.config.database).await;
    for (statement, kind) in [
        (
            "update audit_events set erasure_id = null, contact_id = $1 where contact_id is null and erasure_id is not null",
            "audit_events.contact_id",
        ),
        (
            "update audit_events set contact_id = null, target_id = 'con_' || replace($1::text, '-', '') where contact_id = $1",
            "audit_events.target_id",
        ),
    ] {
        sqlx::query(statement).bind(contact().uuid()).execute(&mut connection).await.unwrap();
        let answer = client.verify_absent(verify(&scope)).await.unwrap().into_inner();
        let finding = answer.findings.iter().find(|finding| finding.kind == kind).unwrap();
        assert_eq!(finding.found, 3, "{answer:?}");
    }
}

#[tokio::test]
async fn the_order_and_the_key_are_held_to() {
    let rig = Rig::new().await;
    let owner = scene(&rig).await;
    let (scope, mut client) = (scope(&owner), rig.participant());
    assert_eq!(reason(client.purge(purge(&scope)).await), "NOT_FENCED");
    assert_eq!(reason(client.verify_absent(verify(&scope)).await), "NOT_FENCED");
    client.fence(fence(&scope)).await.unwrap();
    let other_key = PurgeRequest { census_key: vec![8; 32].into(), ..purge(&scope) };
    assert_eq!(field(client.purge(other_key).await), "census_key");
    let short = FenceRequest { census_key: vec![8; 31].into(), ..fence(&scope) };
    assert_eq!(field(client.fence(short).await), "census_key");
    let somebody = ContactId::new(Uuid::from_u128(0xbb)).to_string();
    let other = Scope { contact_id: somebody, ..scope.clone() };
    assert_eq!(field(client.purge(purge(&other)).await), "scope");
    assert_eq!(field(client.fence(FenceRequest { scope: None, ..fence(&scope) }).await), "scope");
    let nobody = Scope { contact_id: ContactId::new(Uuid::from_u128(0xdd)).to_string(), ..scope };
    let counted = client.count(CountRequest { scope: Some(nobody) }).await.unwrap().into_inner();
    assert!(!counted.known);
}
