//! Revocation: within a second, in every process, with the bus away. It comes by identity's stream, not by NATS.

use std::time::{Duration, Instant};

use lethe_tests::{Api, alone};
use serde_json::json;

use super::apart;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_revoked_at_one_gateway_is_refused_by_all_within_a_second() {
    let _alone = alone().await;
    let apart = apart();
    let tenant = apart.tenant().await;
    let here = tenant.owner;
    let there = {
        let (http, url) = (apart.run.http().expect("a client"), apart.url(1));
        let email = format!("owner@{}.example", tenant.slug);
        Api::log_in_by(http, &url, &tenant.slug, &email, lethe_tests::PASSWORD).await
    };
    // Both gateways, and messaging behind them, know the session.
    for api in [there.at(&apart.url(1)), there.at(&here.url)] {
        api.get("/v1/contacts").await.ok();
    }
    apart.nats.pause();
    let sessions = there.get("/v1/sessions").await.ok();
    let session =
        sessions["sessions"].as_array().and_then(|all| all.iter().find(|one| one["current"] == json!(true)));
    let session = session.expect("our own")["session_id"].as_str().expect("an id").to_owned();
    let revoked = here.delete(&format!("/v1/sessions/{session}")).await;
    let started = Instant::now();
    let mut refused = [false; 2];
    while refused != [true; 2] && started.elapsed() < Duration::from_secs(1) {
        for (number, refused) in refused.iter_mut().enumerate() {
            let api = there.at(&apart.url(number));
            *refused = api.get("/v1/contacts").await.status == 401;
        }
    }
    apart.nats.resume();
    assert!(revoked.status.is_success(), "{revoked:?}");
    assert_eq!(refused, [true; 2], "after {:?}", started.elapsed());
}
