//! id-17: limits by tenant, key, member and address, which gateways share; log-in is protected from guessing (from
//! crowds too, which would disturb the other tests here: services/identity/tests/main/log_in.rs).

use std::time::Duration;

use lethe_tests::{Answer, Api, Machine, Tenant, alone, platform, within};
use reqwest::Method;
use serde_json::json;

/// Limits that a test reaches; the tests' tenants have the plan `demo`.
const SMALL: &str = r#"
[gateway]
trusted_proxies = ["127.0.0.1"]
[gateway.rates.address]
requests = 200
per_s = 3_600
[gateway.rates.plans.demo]
member = { requests = 8, per_s = 3_600 }
api_key = { requests = 6, per_s = 3_600 }
tenant = { requests = 18, per_s = 3_600 }
"#;

pub(in super::super) async fn id_17_limits_by_tenant_key_member_and_address_and_protected_log_in() {
    let _alone = alone().await;
    let platform = platform();
    let tenant = platform.tenant().await;
    guessing(&tenant).await;

    let replica = platform.gateway(SMALL).await;
    // The platform's own gateway lives too, and they share: each allows half, as soon as it has heard.
    let owner = tenant.owner.at(&replica.url);
    let machine = Machine::with(&tenant.owner, &["read_inbox"]).await.at(&replica.url);
    within(Duration::from_secs(10), "the gateways know of each other", async || {
        let stranger = platform.tenant().await;
        let stranger = stranger.owner.at(&replica.url);
        let left = stranger.get("/v1/contacts").await.headers["ratelimit"].to_str().expect("text").to_owned();
        left.starts_with("\"member\";r=3;")
    })
    .await;

    // A member: 8, of which this gateway has 4.
    let answers = many(10, || owner.get("/v1/contacts")).await;
    assert_eq!(allowed(&answers), 4);
    let refused = answers.last().expect("ten answers");
    assert_eq!(refused.problem(), (429, "RATE_LIMITED"));
    assert_eq!(refused.headers["ratelimit-policy"], "\"member\";q=8;w=3600");
    assert!(refused.headers["ratelimit"].to_str().expect("text").starts_with("\"member\";r=0;t="));
    let seconds: u64 = refused.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=900).contains(&seconds), "{seconds}");
    // A key: 6, here 3.
    let answers = many(5, || machine.get("/v1/contacts")).await;
    assert_eq!(allowed(&answers), 3);
    assert_eq!(answers[4].headers["ratelimit-policy"], "\"api_key\";q=6;w=3600");
    // The tenant: 18, here 9, of which 7 are used: another key gets 2.
    let other = Machine::with(&tenant.owner, &["read_inbox"]).await.at(&replica.url);
    let answers = many(5, || other.get("/v1/contacts")).await;
    assert_eq!(allowed(&answers), 2);
    assert_eq!(answers[2].headers["ratelimit-policy"], "\"tenant\";q=18;w=3600");
    // Nobody else's tenant notices.
    let neighbour = platform.tenant().await;
    neighbour.owner.at(&replica.url).get("/v1/contacts").await.ok();

    // An address, as the proxy says it: 200, here 100, whoever it claims to be.
    let anonymous = Api::anonymous(&replica.url).with_token("lth_s_nonsense");
    let from = async |address: &'static str| {
        anonymous.send(Method::GET, "/v1/self", &[("x-forwarded-for", address)], None).await
    };
    let answers = many(102, || from("203.0.113.77")).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 100, "{statuses:?}");
    assert_eq!(answers[101].problem(), (429, "RATE_LIMITED"));
    assert_eq!(from("203.0.113.78").await.status, 401, "another address has its own");
    replica.stop().await;
}

/// The answers to so many requests, one after the other.
async fn many<F: Future<Output = Answer>>(count: usize, ask: impl Fn() -> F) -> Vec<Answer> {
    let mut answers = Vec::with_capacity(count);
    for _ in 0..count {
        answers.push(ask().await);
    }
    answers
}

fn allowed(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.status == 200).count()
}

/// Guessing a password ends after ten tries; the member, elsewhere, is not locked out.
async fn guessing(tenant: &Tenant) {
    let url = &platform().run.url;
    let email = format!("bob@{}.example", tenant.slug);
    let bob = json!({"name": "Bob", "email": email, "roles": ["agent"]});
    tenant.owner.create("/v1/members", "bob", bob).await.ok();
    let wrong = json!({"tenant": tenant.slug, "email": email, "password": "wrong"});
    let anonymous = Api::anonymous(url);
    let answers = many(12, || anonymous.post("/v1/sessions", wrong.clone())).await;
    let codes: Vec<(u16, &str)> = answers.iter().map(Answer::problem).collect();
    assert_eq!(codes[..10], [(401, "LOG_IN_FAILED"); 10]);
    assert_eq!(codes[10..], [(429, "TOO_MANY_LOG_INS"); 2]);
    assert!(answers[11].headers.contains_key("retry-after"));
}
