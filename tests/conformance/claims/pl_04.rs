//! pl-04: traces, metrics and logs through OpenTelemetry: one request is followed from HTTP through gRPC, the outbox, the
//! bus and the consumer to the index; no text and no address stands in any signal.

use std::time::Duration;

use lethe_tests::{Talk, platform, within};
use reqwest::Method;
use serde_json::json;

pub(in super::super) async fn pl_04_one_request_is_followed_through_every_service_and_the_bus() {
    let platform = platform();
    let tenant = platform.tenant().await;
    let talk = Talk::begin(&tenant.owner, "live_chat").await;
    let canary = format!("zq{}", platform.nonce());
    let trace_id = format!(
        "{:0>32}",
        uuid::Uuid::from_u128(u128::from_str_radix(&platform.nonce(), 16).expect("hex")).simple()
    );
    let parent = format!("00-{trace_id}-00f067aa0ba902b7-01");
    let nonce = platform.nonce();
    let headers = [("traceparent", parent.as_str()), ("idempotency-key", nonce.as_str())];
    let path = format!("/v1/conversations/{}/inbound-messages", talk.conversation);
    tenant
        .owner
        .send(Method::POST, &path, &headers, Some(json!({"text": format!("secret {canary}")})))
        .await
        .ok();

    // The gateway's request, messaging's acceptance, and the index's consumer that the bus woke.
    let wanted = ["inbound-messages", "messaging.receive_message", "search-index process"];
    let seen = || platform.collector.spans(&trace_id);
    let missing = || wanted.into_iter().filter(|name| !seen().iter().any(|span| span.contains(name)));
    let started = std::time::Instant::now();
    while missing().next().is_some() {
        let late = started.elapsed() > Duration::from_secs(15);
        assert!(!late, "no span {:?} among {:?}", missing().collect::<Vec<_>>(), seen());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    within(Duration::from_secs(15), "metrics arrive", async || !platform.collector.metrics().is_empty())
        .await;
    assert!(!platform.collector.holds(&canary), "a text stands in a signal");
    assert!(!platform.collector.holds(&talk.email), "an address stands in a signal");
    assert!(!platform.collector.holds(&talk.contact), "a contact's id stands in a signal");
}
