//! An operator's requests: recorded first, or not done.

use http::Method;
use lethe_access::{Permission, Principal, Who};
use lethe_ids::OperatorAccessId;
use lethe_proto::identity::{AuthenticateResponse, RecordOperatorUseRequest};
use lethe_service::Failure;
use uuid::Uuid;

use crate::support::{CONTACT, Edge, edge, who};

/// A gateway at whose door an operator stands with [`crate::support::TOKEN`].
async fn with_operator() -> (Edge, OperatorAccessId) {
    let edge = edge().await;
    let access = OperatorAccessId::new(Uuid::from_u128(8));
    let now = edge.clock.millis();
    let principal = Principal {
        tenant: who().0,
        who: Who::Operator { access, scopes: [Permission::ReadInbox].into() },
        issued_at_ms: now,
        expires_at_ms: now + 60_000,
    };
    let principal = edge.access.of("identity").sign_principal(&principal).to_bytes();
    edge.behind.answers("Authenticate", AuthenticateResponse { principal, plan: String::new() });
    (edge, access)
}

#[tokio::test]
async fn an_operators_request_is_recorded_before_it_goes_on() {
    let (edge, access) = with_operator().await;
    let contact = format!("/v1/contacts/{CONTACT}");
    for _ in 0..2 {
        assert_eq!(edge.ask(Method::GET, &contact, "").await.status, 200);
    }
    let calls = edge.behind.calls();
    let rpcs: Vec<_> = calls.iter().map(|call| call.rpc.as_str()).collect();
    assert_eq!(
        rpcs,
        ["RecordOperatorUse", "GetContact", "RecordOperatorUse", "GetContact"],
        "each, and first"
    );
    let used = calls[0].read::<RecordOperatorUseRequest>();
    assert_eq!((used.tenant_id, used.operator_access_id), (who().0.to_string(), access.to_string()));
    assert_eq!(used.route, "GET /v1/contacts/{contact_id}", "never whose");
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done() {
    let (edge, _) = with_operator().await;
    let contact = format!("/v1/contacts/{CONTACT}");
    for (failure, status, code) in [
        (Failure::unavailable("KEYSTORE_UNAVAILABLE", "away"), 503, "KEYSTORE_UNAVAILABLE"),
        (Failure::unauthenticated("SESSION_INVALID", "is over"), 401, "SESSION_INVALID"),
    ] {
        edge.behind.fails("RecordOperatorUse", failure);
        let answered = edge.ask(Method::GET, &contact, "").await;
        assert_eq!(answered.problem(), (status, code.to_owned(), None));
    }
    assert_eq!(edge.behind.count("GetContact"), 0);
}
