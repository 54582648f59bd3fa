//! id-08: 256-bit tokens of which only the hash is kept, expiry, list, remote revocation at once.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lethe_access::Role;
use lethe_identity::jobs::sweep_expired;
use lethe_proto::{
    identity::{GetSelfRequest, ListSessionsRequest, RevokeSessionRequest},
    request::Page,
};
use lethe_testkit::Databases;

use crate::rig::{PASSWORD, Rig, dump, field, reason};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn id_08_a_token_has_256_bits_and_only_its_hash_is_stored() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let rest = owner.token.strip_prefix("lth_s_").unwrap();
    let (tenant, secret) = rest.split_once('_').unwrap();
    assert_eq!(tenant.len(), 32);
    let bits = URL_SAFE_NO_PAD.decode(secret).unwrap();
    assert_eq!(bits.len() * 8, 256);
    let other = rig.log_in("acme", "owner@example.com", PASSWORD).await.unwrap().token;
    assert_ne!(other, owner.token);

    let mut connection = Databases::superuser(&rig.config.database).await;
    let hash = digest::digest(&digest::SHA256, &bits);
    let found: i64 = sqlx::query_scalar("select count(*) from sessions where token_hash = $1")
        .bind(hash.as_ref())
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(found, 1);
    for text in [dump(&rig.config.database).await, dump(&rig.config.keystore).await] {
        assert!(!text.contains(secret) && !text.contains(&hex(&bits)), "the token is stored");
        assert!(!text.contains(&hex(secret.as_bytes())), "the token's text is stored");
    }
}

#[tokio::test]
async fn id_08_a_session_ends_unused_and_at_its_age() {
    let rig = Rig::with(|config| {
        config.sessions.idle_s = 100;
        config.sessions.absolute_s = 250;
        config.sessions.seen_every_s = 10;
    })
    .await;
    let owner = rig.owner("acme").await;
    let idle = rig.log_in("acme", "owner@example.com", PASSWORD).await.unwrap().token;
    for _ in 0..2 {
        rig.world.clock.advance(Duration::from_secs(99));
        assert!(rig.authenticate(&owner.token).await.is_ok(), "used in time");
    }
    assert_eq!(reason(rig.authenticate(&idle).await), "SESSION_INVALID");
    rig.world.clock.advance(Duration::from_secs(51));
    assert!(rig.authenticate(&owner.token).await.is_ok());
    rig.world.clock.advance(Duration::from_secs(1));
    assert_eq!(reason(rig.authenticate(&owner.token).await), "SESSION_INVALID");

    sweep_expired::round(&rig.identity).await.unwrap();
    let mut connection = Databases::superuser(&rig.config.database).await;
    let left: i64 =
        sqlx::query_scalar("select count(*) from sessions").fetch_one(&mut connection).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_principal_does_not_outlive_its_session() {
    let rig = Rig::with(|config| {
        config.sessions.idle_s = 30;
        config.sessions.seen_every_s = 10;
    })
    .await;
    let owner = rig.owner("acme").await;
    let principal = rig.world.access.of("identity").verify_principal(&owner.principal).await.unwrap();
    assert_eq!(principal.expires_at_ms - rig.world.clock.millis(), 30_000);
}

#[tokio::test]
async fn last_seen_is_written_once_in_a_while() {
    let rig = Rig::with(|config| config.sessions.seen_every_s = 60).await;
    let owner = rig.owner("acme").await;
    let seen = || async {
        let mut connection = Databases::superuser(&rig.config.database).await;
        sqlx::query_scalar::<_, time::OffsetDateTime>("select last_seen_at from sessions")
            .fetch_one(&mut connection)
            .await
            .unwrap()
    };
    let first = seen().await;
    rig.world.clock.advance(Duration::from_secs(59));
    rig.authenticate(&owner.token).await.unwrap();
    assert_eq!(seen().await, first);
    rig.world.clock.advance(Duration::from_secs(1));
    rig.authenticate(&owner.token).await.unwrap();
    assert_eq!(seen().await, first + Duration::from_secs(60));
}

#[tokio::test]
async fn id_08_sessions_are_listed_newest_first_in_pages() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    rig.world.clock.advance(Duration::from_secs(1));
    let second = rig.log_in("acme", "owner@example.com", PASSWORD).await.unwrap().session.unwrap();
    let page = |after| ListSessionsRequest { member_id: String::new(), page: Some(Page { limit: 1, after }) };
    let mut client = rig.as_member(&owner.principal);
    let first_page = client.list_sessions(page(Vec::new().into())).await.unwrap().into_inner();
    assert_eq!(first_page.sessions.len(), 1);
    let listed = &first_page.sessions[0];
    assert_eq!((&listed.session_id, listed.current), (&second.session_id, false));
    assert_eq!((listed.browser.as_str(), listed.os.as_str()), ("Firefox", "Linux"));
    let last_page = client.list_sessions(page(first_page.next)).await.unwrap().into_inner();
    assert!(last_page.sessions[0].current && last_page.next.is_empty());
    assert_eq!(field(client.list_sessions(page(vec![1, 2, 3].into())).await), "page.after");

    // Another member's need the right to manage members.
    let agent = rig.member(&owner, "agent@example.com", &[Role::Agent]).await;
    let theirs = |member: &str| ListSessionsRequest { member_id: member.into(), page: None };
    let owners = theirs(&owner.member.member_id);
    assert_eq!(reason(rig.as_member(&agent.principal).list_sessions(owners).await), "PERMISSION_DENIED");
    let agents = client.list_sessions(theirs(&agent.member.member_id)).await.unwrap().into_inner();
    assert_eq!(agents.sessions.len(), 1);
    let nobody = theirs("mem_00000000000070008000000000000000");
    assert_eq!(reason(client.list_sessions(nobody).await), "MEMBER_NOT_FOUND");
}

#[tokio::test]
async fn id_08_a_revoked_session_is_out_at_once() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let lost = rig.log_in("acme", "owner@example.com", PASSWORD).await.unwrap();
    let held = rig.authenticate(&lost.token).await.unwrap();
    assert!(rig.as_member(&held).get_self(GetSelfRequest {}).await.is_ok());
    let revoke = RevokeSessionRequest { session_id: lost.session.unwrap().session_id };
    rig.as_member(&owner.principal).revoke_session(revoke.clone()).await.unwrap();
    assert_eq!(reason(rig.as_member(&held).get_self(GetSelfRequest {}).await), "SESSION_REVOKED");
    assert_eq!(reason(rig.authenticate(&lost.token).await), "SESSION_INVALID");
    assert_eq!(reason(rig.as_member(&owner.principal).revoke_session(revoke).await), "SESSION_NOT_FOUND");
    assert!(rig.as_member(&owner.principal).get_self(GetSelfRequest {}).await.is_ok());
}

#[tokio::test]
async fn nobody_revokes_what_is_not_his() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let agent = rig.member(&owner, "agent@example.com", &[Role::Agent]).await;
    let stranger = rig.owner("other").await;
    let sessions =
        rig.as_member(&owner.principal).list_sessions(ListSessionsRequest::default()).await.unwrap();
    let revoke = RevokeSessionRequest { session_id: sessions.into_inner().sessions[0].session_id.clone() };
    for principal in [&agent.principal, &stranger.principal] {
        let answer = rig.as_member(principal).revoke_session(revoke.clone()).await;
        assert_eq!(reason(answer), "SESSION_NOT_FOUND");
    }
    assert!(rig.authenticate(&owner.token).await.is_ok());
}

#[tokio::test]
async fn a_log_in_too_many_ends_the_oldest() {
    let rig = Rig::with(|config| config.sessions.most = 2).await;
    let owner = rig.owner("acme").await;
    rig.world.clock.advance(Duration::from_secs(1));
    let second = rig.log_in("acme", "owner@example.com", PASSWORD).await.unwrap();
    assert!(rig.authenticate(&owner.token).await.is_ok());
    rig.world.clock.advance(Duration::from_secs(1));
    let third = rig.log_in("acme", "owner@example.com", PASSWORD).await.unwrap();
    assert_eq!(reason(rig.authenticate(&owner.token).await), "SESSION_INVALID");
    assert!(rig.authenticate(&second.token).await.is_ok() && rig.authenticate(&third.token).await.is_ok());
}

#[tokio::test]
async fn what_is_no_token_opens_nothing() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let stranger = rig.owner("other").await;
    // The secret of one tenant under the name of another.
    let swapped = format!("{}{}", &owner.token[..38], &stranger.token[38..]);
    for token in ["", "lth_s_", "Bearer x", &owner.token[..60], &swapped] {
        assert_eq!(reason(rig.authenticate(token).await), "SESSION_INVALID", "{token}");
    }
}
