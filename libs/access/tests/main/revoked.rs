//! Revocations, and what holds when they cannot be heard.

use std::{sync::atomic::Ordering, time::Duration};

use lethe_access::{Actor, Permission, Principal, Revocation, Revocations, Revoked, Role};
use lethe_ids::{OperatorAccessId, TenantId};
use tokio::time::Instant;
use tonic::Status;
use uuid::Uuid;

use crate::rig::{ERASE, OWN, Oracle, PURGE, READ, Rig, SEND, service};

fn revocation(principal: &Principal, what: Revoked, revoked_at_ms: i64) -> Revocation {
    Revocation { tenant: principal.tenant, what, revoked_at_ms }
}

#[tokio::test]
async fn a_revoked_session_member_or_tenant_is_out_at_once() {
    let rig = Rig::new();
    let principal = rig.principal(&[Role::Owner]);
    for what in [
        Revoked::Session(principal.session().unwrap()),
        Revoked::Member(principal.actor().member().unwrap()),
        Revoked::Tenant,
    ] {
        let rig = Rig::new();
        let headers = rig.headers(&[Role::Owner]);
        assert!(rig.ask(READ, &headers).await.is_ok());
        let at = principal.issued_at_ms + 1;
        rig.messaging.revocations().apply(&[revocation(&principal, what, at)], Instant::now());
        for path in [READ, SEND, OWN] {
            assert_eq!(rig.ask(path, &headers).await, Err("SESSION_REVOKED"), "{what:?} {path}");
        }
    }
}

#[tokio::test]
async fn a_revocation_ends_what_was_issued_before_it_and_nothing_else() {
    let rig = Rig::new();
    let principal = rig.principal(&[Role::Agent]);
    let revocations = rig.messaging.revocations();
    let elsewhere = TenantId::new(Uuid::from_u128(77));
    let at = principal.issued_at_ms;
    for what in [
        Revoked::Session(principal.session().unwrap()),
        Revoked::Member(principal.actor().member().unwrap()),
        Revoked::Tenant,
    ] {
        revocations
            .apply(&[Revocation { tenant: elsewhere, what, revoked_at_ms: at + 1_000 }], Instant::now());
    }
    assert!(!revocations.is_void(&principal), "another tenant's");
    revocations.apply(
        &[revocation(&principal, Revoked::Member(principal.actor().member().unwrap()), at)],
        Instant::now(),
    );
    assert!(!revocations.is_void(&principal), "issued since");
    revocations.apply(
        &[revocation(&principal, Revoked::Member(principal.actor().member().unwrap()), at + 1)],
        Instant::now(),
    );
    assert!(revocations.is_void(&principal));
    revocations.apply(
        &[revocation(&principal, Revoked::Member(principal.actor().member().unwrap()), at)],
        Instant::now(),
    );
    assert!(revocations.is_void(&principal), "an older one that comes late revives nothing");
}

#[tokio::test]
async fn when_the_set_runs_over_nothing_older_is_believed() {
    let revocations = Revocations::always_fresh();
    let rig = Rig::new();
    let principal = rig.principal(&[]);
    let many: Vec<_> = (0..100_001)
        .map(|n| {
            revocation(&principal, Revoked::Member(lethe_ids::MemberId::new(Uuid::from_u128(1000 + n))), 5)
        })
        .collect();
    let older = Principal { issued_at_ms: 4, ..principal.clone() };
    assert!(!revocations.is_void(&older));
    revocations.apply(&many, Instant::now());
    assert!(revocations.is_void(&older) && !revocations.is_void(&principal));
}

#[test]
fn freshness_is_one_second_of_the_monotonic_clock() {
    let revocations = Revocations::new();
    let start = Instant::now();
    assert!(!revocations.is_fresh(start), "nothing heard yet");
    revocations.heard(start);
    assert!(revocations.is_fresh(start + Duration::from_millis(1_000)));
    assert!(!revocations.is_fresh(start + Duration::from_millis(1_001)));
}

#[tokio::test]
async fn a_silent_feed_is_made_up_for_by_asking_each_time() {
    let rig = Rig::with(Revocations::new());
    let oracle = Oracle::new(Ok(true));
    rig.messaging.revocations().ask_with(oracle.clone());
    let headers = rig.headers(&[Role::Owner]);
    for _ in 0..3 {
        assert!(rig.ask(READ, &headers).await.is_ok());
    }
    assert_eq!(oracle.asked.load(Ordering::Relaxed), 3);
    rig.messaging.revocations().ask_with(Oracle::new(Ok(false)));
    assert_eq!(rig.ask(READ, &headers).await, Err("SESSION_REVOKED"));
}

#[tokio::test]
async fn with_identity_away_too_guarded_calls_are_refused_and_others_go_on() {
    let rig = Rig::with(Revocations::new());
    let oracle = Oracle::new(Err(Status::unavailable("away")));
    rig.messaging.revocations().ask_with(oracle.clone());
    let headers = rig.headers(&[Role::Owner]);
    assert_eq!(rig.ask(ERASE, &headers).await, Err("REVOCATION_UNKNOWN"));
    assert!(rig.ask(SEND, &headers).await.is_ok());
    assert!(rig.ask(READ, &headers).await.is_ok());
    assert_eq!(oracle.asked.load(Ordering::Relaxed), 1, "one that is away is not asked by every call");
    let saga = service(&rig.retention, "messaging");
    assert_eq!(rig.ask(PURGE, &saga).await, Err("REVOCATION_UNKNOWN"));
    rig.messaging.revocations().heard(Instant::now());
    assert!(rig.ask(PURGE, &saga).await.is_ok());
    assert!(rig.ask(ERASE, &headers).await.is_ok());
}

#[tokio::test]
async fn what_was_revoked_stays_out_while_the_feed_is_silent() {
    let rig = Rig::with(Revocations::new());
    rig.messaging.revocations().ask_with(Oracle::new(Err(Status::unavailable("away"))));
    let principal = rig.principal(&[Role::Agent]);
    let headers = rig.headers(&[Role::Agent]);
    let gone = revocation(&principal, Revoked::Session(principal.session().unwrap()), principal.issued_at_ms);
    rig.messaging.revocations().apply(&[gone], Instant::now());
    assert_eq!(rig.ask(SEND, &headers).await, Err("SESSION_REVOKED"));
}

#[tokio::test]
async fn an_operator_does_what_was_granted_until_it_is_revoked_or_cannot_be_known() {
    let rig = Rig::new();
    let operator = rig.operator(&[Permission::ReadInbox, Permission::OwnAccount]);
    let headers = rig.headers_of(&operator);
    let caller = rig.ask(READ, &headers).await.unwrap();
    assert_eq!(caller.principal.as_ref(), Some(&operator), "it crosses the wire whole");
    assert_eq!(rig.ask(SEND, &headers).await, Err("PERMISSION_DENIED"));
    assert_eq!(rig.ask(OWN, &headers).await, Err("PERMISSION_DENIED"), "an operator has no account");
    let Actor::Operator(access) = operator.actor() else { panic!("an operator") };
    let other = OperatorAccessId::new(Uuid::from_u128(5));
    let revocations = rig.messaging.revocations();
    revocations.apply(&[revocation(&operator, Revoked::OperatorAccess(other), 0)], Instant::now());
    assert!(rig.ask(READ, &headers).await.is_ok(), "another one's");
    revocations.apply(&[revocation(&operator, Revoked::OperatorAccess(access), 0)], Instant::now());
    assert_eq!(rig.ask(READ, &headers).await, Err("SESSION_REVOKED"));

    let deaf = Rig::with(Revocations::new());
    deaf.messaging.revocations().ask_with(Oracle::new(Err(Status::unavailable("away"))));
    assert_eq!(deaf.ask(READ, &headers).await, Err("REVOCATION_UNKNOWN"));
}
