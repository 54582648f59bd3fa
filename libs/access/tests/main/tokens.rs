//! Tokens: who signed, for whom, until when.

use http::HeaderMap;
use lethe_access::{Access, PRINCIPAL, PublicKeys, Revocations, Role, SERVICE_TOKEN};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::rig::{LOG_IN, OWN, PURGE, READ, Rig, SEND, header, key, service, tampered};

#[tokio::test]
async fn a_call_with_both_tokens_goes_through() {
    let rig = Rig::new();
    let caller = rig.ask(SEND, &rig.headers(&[Role::Agent])).await.unwrap();
    assert_eq!(&*caller.service, "gateway");
    assert_eq!(caller.principal, Some(rig.principal(&[Role::Agent])));
    assert_eq!(caller.tenant(), Some(rig.principal(&[]).tenant));
}

#[tokio::test]
async fn a_missing_token_is_named() {
    let rig = Rig::new();
    assert_eq!(rig.ask(READ, &HeaderMap::new()).await, Err("SERVICE_TOKEN_MISSING"));
    assert_eq!(rig.ask(READ, &service(&rig.gateway, "messaging")).await, Err("PRINCIPAL_MISSING"));
}

#[tokio::test]
async fn tokens_end_after_sixty_seconds_though_they_were_verified_before() {
    let rig = Rig::new();
    let headers = rig.headers(&[Role::Agent]);
    assert!(rig.ask(READ, &headers).await.is_ok());
    rig.advance(59_999);
    assert!(rig.ask(READ, &headers).await.is_ok());
    rig.advance(1);
    assert_eq!(rig.ask(READ, &headers).await, Err("SERVICE_TOKEN_EXPIRED"));
    let mut renewed = headers.clone();
    renewed.insert(SERVICE_TOKEN, header(&rig.gateway.service_token("messaging")));
    assert_eq!(rig.ask(READ, &renewed).await, Err("PRINCIPAL_EXPIRED"));
}

#[tokio::test]
async fn a_service_token_is_used_again_until_it_is_nearly_over() {
    let rig = Rig::new();
    let first = rig.gateway.service_token("messaging");
    rig.advance(45_000);
    assert_eq!(rig.gateway.service_token("messaging"), first);
    rig.advance(1);
    assert_ne!(rig.gateway.service_token("messaging"), first);
    assert_ne!(rig.gateway.service_token("search"), rig.gateway.service_token("messaging"));
}

#[tokio::test]
async fn a_token_for_another_service_is_not_valid_here() {
    let rig = Rig::new();
    assert_eq!(rig.ask(PURGE, &service(&rig.retention, "search")).await, Err("SERVICE_TOKEN_INVALID"));
    assert!(rig.ask(PURGE, &service(&rig.retention, "messaging")).await.is_ok());
}

#[tokio::test]
async fn every_flipped_bit_is_noticed() {
    let rig = Rig::new();
    let headers = rig.headers(&[Role::Agent]);
    assert!(rig.ask(READ, &headers).await.is_ok());
    for (name, reason) in [(SERVICE_TOKEN, "SERVICE_TOKEN_INVALID"), (PRINCIPAL, "PRINCIPAL_INVALID")] {
        let mut length = 0;
        tampered(&headers, name, |bytes| length = bytes.len());
        assert!(length > 100);
        for at in 0..length {
            let changed = tampered(&headers, name, |bytes| bytes[at] ^= 0x20);
            assert_eq!(rig.ask(READ, &changed).await, Err(reason), "{name}, byte {at}");
        }
        let cut = tampered(&headers, name, |bytes| bytes.truncate(10));
        assert_eq!(rig.ask(READ, &cut).await, Err(reason));
        let long = tampered(&headers, name, |bytes| bytes.resize(5_000, 0));
        assert_eq!(rig.ask(READ, &long).await, Err(reason));
        let mut garbage = headers.clone();
        garbage.insert(name, "!!!".parse().unwrap());
        assert_eq!(rig.ask(READ, &garbage).await, Err(reason));
        let mut twice = headers.clone();
        twice.append(name, headers.get(name).unwrap().clone());
        assert_eq!(rig.ask(READ, &twice).await, Err(reason));
    }
}

#[tokio::test]
async fn nobody_signs_for_another() {
    let rig = Rig::new();
    // The gateway's own signature makes no principal.
    let mut headers = rig.headers(&[Role::Owner]);
    let forged = rig.gateway.sign_principal(&rig.principal(&[Role::Owner]));
    headers.insert(PRINCIPAL, header(&forged.metadata()));
    assert_eq!(rig.ask(READ, &headers).await, Err("PRINCIPAL_INVALID"));
    // A stranger who calls itself gateway is not believed, nor is one that nobody knows.
    for name in ["gateway", "nobody"] {
        let stranger =
            Access::new(name, key(9), PublicKeys::new(), Revocations::always_fresh(), rig.clock.clone());
        assert_eq!(rig.ask(READ, &service(&stranger, "messaging")).await, Err("SERVICE_TOKEN_INVALID"));
    }
    // A service token is no principal, though identity signed both.
    let mut headers = rig.headers(&[Role::Owner]);
    headers.insert(PRINCIPAL, header(&rig.identity.service_token("messaging")));
    assert_eq!(rig.ask(READ, &headers).await, Err("PRINCIPAL_INVALID"));
}

#[tokio::test]
async fn a_token_that_lives_longer_than_a_minute_is_no_token() {
    let rig = Rig::new();
    let mut principal = rig.principal(&[Role::Owner]);
    principal.expires_at_ms += 1;
    let mut headers = rig.headers(&[]);
    headers.insert(PRINCIPAL, header(&rig.identity.sign_principal(&principal).metadata()));
    assert_eq!(rig.ask(READ, &headers).await, Err("PRINCIPAL_INVALID"));
    principal.issued_at_ms += 6_000;
    principal.expires_at_ms += 5_999;
    headers.insert(PRINCIPAL, header(&rig.identity.sign_principal(&principal).metadata()));
    assert_eq!(rig.ask(READ, &headers).await, Err("PRINCIPAL_EXPIRED"), "issued in the far future");
}

#[tokio::test]
async fn the_line_in_the_proto_says_who_may_call_and_what_the_member_needs() {
    let rig = Rig::new();
    assert_eq!(rig.ask(PURGE, &rig.headers(&[Role::Owner])).await, Err("CALLER_NOT_ALLOWED"));
    assert_eq!(rig.ask(SEND, &rig.headers(&[Role::Auditor])).await, Err("PERMISSION_DENIED"));
    assert_eq!(rig.ask(SEND, &rig.headers(&[])).await, Err("PERMISSION_DENIED"));
    assert!(rig.ask(OWN, &rig.headers(&[])).await.is_ok(), "one's own account needs no role");
    let anyone = rig.ask(LOG_IN, &service(&rig.gateway, "messaging")).await.unwrap();
    assert_eq!(anyone.principal, None);
}

#[tokio::test]
async fn an_unknown_path_is_left_to_the_router() {
    let rig = Rig::new();
    for path in ["/grpc.health.v1.Health/Check", "/lethe.messaging.v1.MessageService/Nothing"] {
        assert_eq!(rig.messaging.authorize(path, &HeaderMap::new()).await, Ok(None));
    }
}

#[tokio::test]
async fn a_refusal_crosses_the_wire_with_its_reason() {
    let rig = Rig::new();
    let denied = rig.messaging.authorize(SEND, &rig.headers(&[Role::Auditor])).await.unwrap_err();
    let status = Status::from(denied);
    assert_eq!(status.code(), Code::PermissionDenied);
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("PERMISSION_DENIED", "lethe"));
}
