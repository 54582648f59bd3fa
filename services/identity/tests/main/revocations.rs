//! Revocations reach every process within a second, whichever replica they were made at.

use std::time::Duration;

use lethe_access::{PrincipalToken, RemoteIdentity, Role};
use lethe_proto::identity::{
    CheckPrincipalRequest, RevokeRoleRequest, RevokeSessionRequest, WatchRevocationsRequest,
    identity_service_client::IdentityServiceClient,
};
use lethe_testkit::Databases;
use tokio::time::Instant;

use crate::rig::{PASSWORD, Rig, within};

/// Messaging in the rig's world hears revocations from its identity.
pub(crate) fn feed(rig: &Rig) {
    let channel = rig.world.client("messaging", "identity", None);
    let remote = RemoteIdentity::new(channel, rig.world.access.of("messaging"));
    rig.world.tasks.spawn("feed", remote.feed(rig.world.tasks.clone()));
}

async fn read(rig: &Rig, token: &PrincipalToken) -> lethe_access::Principal {
    rig.world.access.of("messaging").verify_principal(token).await.unwrap()
}

#[tokio::test]
async fn a_revocation_is_heard_in_every_process_within_a_second() {
    let rig = Rig::new().await;
    let replica = rig.replica().await;
    feed(&rig);
    feed(&replica);
    let owner = rig.owner("acme").await;
    let lost = rig.log_in("acme", "owner@example.com", PASSWORD).await.unwrap();
    let token = rig.authenticate(&lost.token).await.unwrap();
    let principal = read(&rig, &token).await;
    let revoke = RevokeSessionRequest { session_id: lost.session.unwrap().session_id };
    rig.as_member(&owner.principal).revoke_session(revoke).await.unwrap();
    for (name, rig) in [("this replica's", &rig), ("the other's", &replica)] {
        for service in ["identity", "messaging"] {
            let heard = rig.world.access.of(service);
            let took = within(Duration::from_secs(1), || heard.revocations().is_void(&principal)).await;
            assert!(took < Duration::from_secs(1), "{name} {service} took {took:?}");
        }
    }
    rig.world.stop().await;
    replica.world.stop().await;
}

#[tokio::test]
async fn a_role_taken_at_one_replica_is_gone_at_the_other() {
    let rig = Rig::new().await;
    let replica = rig.replica().await;
    let owner = rig.owner("acme").await;
    let ada = rig.member(&owner, "ada@example.com", &[Role::Admin]).await;
    let principal = read(&rig, &ada.principal).await;
    let revoke = RevokeRoleRequest { member_id: ada.member.member_id.clone(), role: Role::Admin.into() };
    replica.as_member(&owner.principal).revoke_role(revoke).await.unwrap();
    let identity = rig.world.access.of("identity");
    within(Duration::from_secs(1), || identity.revocations().is_void(&principal)).await;
    let renewed = rig.authenticate(&ada.token).await.unwrap();
    let renewed = read(&rig, &renewed).await;
    assert!(
        renewed.roles().is_empty() && !identity.revocations().is_void(&renewed),
        "a new principal stands"
    );
    rig.world.stop().await;
    replica.world.stop().await;
}

#[tokio::test]
async fn a_database_that_falls_silent_amid_a_poll_is_asked_again_within_seconds() {
    let proxy = Databases::proxy().await;
    let mut direct = None;
    let rig = Rig::with(|config| {
        let through = Databases::through(&proxy, &config.database);
        direct = Some(std::mem::replace(&mut config.database, through));
    })
    .await;
    let mut client = IdentityServiceClient::new(rig.world.client("search", "identity", None));
    let mut stream = client.watch_revocations(WatchRevocationsRequest {}).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    let lock = "lock table revocations in access exclusive mode";
    Databases::fall_silent_amid(lock, &proxy, &direct.unwrap()).await;
    let second = Duration::from_secs(1);
    while tokio::time::timeout(second, stream.message()).await.is_ok() {}
    let again = tokio::time::timeout(10 * second, stream.message()).await;
    again.expect("a heartbeat").unwrap().unwrap();
    rig.world.stop().await;
}

#[tokio::test]
async fn a_new_watcher_hears_what_was_revoked_before_and_then_a_heartbeat() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let mut client = IdentityServiceClient::new(rig.world.client("search", "identity", None));
    let mut stream = client.watch_revocations(WatchRevocationsRequest {}).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert!(first.revocations.iter().any(|revocation| {
        revocation.tenant_id == read_tenant(&owner.token) && revocation.revoked_at_ms > 0
    }));
    let start = Instant::now();
    for _ in 0..2 {
        assert!(stream.message().await.unwrap().unwrap().revocations.is_empty());
    }
    let beat = start.elapsed() / 2;
    assert!(beat >= Duration::from_millis(200) && beat < Duration::from_millis(900), "{beat:?}");
    rig.world.stop().await;
}

fn read_tenant(token: &str) -> String {
    format!("ten_{}", &token[6..38])
}

#[tokio::test]
async fn check_principal_goes_by_the_rows() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let principal = read(&rig, &owner.principal).await;
    let mut client = IdentityServiceClient::new(rig.world.client("messaging", "identity", None));
    let request = CheckPrincipalRequest {
        tenant_id: principal.tenant.to_string(),
        member_id: principal.actor().to_string(),
        session_id: principal.session().unwrap().to_string(),
        issued_at_ms: principal.issued_at_ms,
        ..Default::default()
    };
    let mut valid = async |request| client.check_principal(request).await.unwrap().into_inner().valid;
    assert!(valid(request.clone()).await);
    // The password was changed at log-in: what was issued before that is void.
    assert!(
        !valid(CheckPrincipalRequest { issued_at_ms: principal.issued_at_ms - 1, ..request.clone() }).await
    );
    let elsewhere = lethe_ids::SessionId::new(principal.actor().uuid()).to_string();
    assert!(!valid(CheckPrincipalRequest { session_id: elsewhere, ..request.clone() }).await);
    rig.as_member(&owner.principal)
        .revoke_session(RevokeSessionRequest { session_id: principal.session().unwrap().to_string() })
        .await
        .unwrap();
    assert!(!valid(request).await);
}
