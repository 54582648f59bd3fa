//! A failure over the wire and back.

use std::time::Duration;

use lethe_service::Failure;
use tonic::{Code, Status};

#[test]
fn a_failure_comes_back_as_it_went() {
    let cases = [
        Failure::invalid("page.after", "is not a cursor"),
        Failure::not_found("contact"),
        Failure::conflict("SLUG_TAKEN", "is taken"),
        Failure::precondition("LEGAL_HOLD_ACTIVE", "a hold stands against it"),
        Failure::aborted("VERSION_CHANGED", "changed meanwhile"),
        Failure::permission("PERMISSION_DENIED", "may not"),
        Failure::unauthenticated("SESSION_ENDED", "log in again"),
        Failure::version_mismatch(),
        Failure::key_reused(),
        Failure::too_many("api_keys"),
        Failure::exhausted("TOO_MANY_CALLS", "later").retry_after(Duration::from_secs(3)),
        Failure::unavailable("DATABASE_UNAVAILABLE", "connection refused"),
        Failure::internal("row 7 of ten_… is odd"),
    ];
    for sent in cases {
        let status = Status::from(sent.clone());
        // As bytes: what a client on another machine has.
        let headers = {
            let response: http::Response<()> = status.into_http();
            response.headers().clone()
        };
        let got = Failure::from_status(&Status::from_header_map(&headers).unwrap());
        assert_eq!(got.code, sent.code);
        assert_eq!(got.reason, sent.reason);
        assert_eq!(got.message, sent.message);
        assert_eq!(got.field, sent.field);
        assert_eq!(got.retry_after, sent.retry_after);
        let wire = format!("{headers:?}");
        assert!(!wire.contains("refused") && !wire.contains("row 7"), "the source stays here: {wire}");
    }
    assert_eq!(Failure::not_found("log-in record").reason, "LOG_IN_RECORD_NOT_FOUND");
}

#[test]
fn what_a_transport_says_is_for_the_operator_alone() {
    let failure = Failure::from_status(&Status::unavailable("tcp connect error: 10.0.0.7:50051"));
    assert_eq!((failure.code, &*failure.reason), (Code::Unavailable, "SERVICE_UNAVAILABLE"));
    assert!(!failure.message.contains("10.0.0.7"));
    assert!(failure.source.unwrap().to_string().contains("10.0.0.7"));
    let foreign = Failure::from_status(&Status::invalid_argument("bad"));
    assert_eq!(foreign.reason, "REQUEST_INVALID");
}

#[test]
fn display_never_includes_the_source() {
    let failure = Failure::internal("a secret of the operator's");
    assert!(!failure.to_string().contains("secret"));
}
