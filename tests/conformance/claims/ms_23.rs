//! ms-23: a tenant's own system hears of its events by webhooks: signed by Standard Webhooks, thin, repeated until they
//! arrive, listed and replayed; and no way leads into a private network.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use lethe_testkit::{Received, Receiver};
use lethe_tests::{Api, Talk, platform, within};
use reqwest::Method;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);
const TYPES: [&str; 3] = ["contact.changed", "conversation.changed", "message.changed"];

/// Whether one of the signatures is that of the secret, as the specification has it.
pub(super) fn is_signed(received: &Received, secret: &str) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("base64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let header = |name: &str| received.headers[name].as_str();
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), received.body);
    header("webhook-signature").split(' ').any(|signature| {
        let (version, mac) = signature.split_once(',').expect("a version and a signature");
        version == "v1"
            && hmac::verify(&key, signed.as_bytes(), &STANDARD.decode(mac).expect("base64")).is_ok()
    })
}

/// An endpoint and its secret.
async fn endpoint(api: &Api, url: &str, types: &[&str]) -> (String, String) {
    let new = json!({"url": url, "event_types": types, "description": "CRM"});
    let made = api.create("/v1/webhook-endpoints", &platform().nonce(), new).await.ok();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    (text(&made["endpoint"]["endpoint_id"]), text(&made["secret"]))
}

/// The deliveries to an endpoint, the newest first.
async fn deliveries(api: &Api, endpoint: &str, filter: &str) -> Vec<Value> {
    let path = format!("/v1/webhook-deliveries?endpoint_id={endpoint}{filter}");
    api.get(&path).await.ok()["deliveries"].as_array().expect("a list").clone()
}

/// Sends a test, and answers its delivery once it was tried.
async fn tried(api: &Api, endpoint: &str) -> Value {
    let path = format!("/v1/webhook-endpoints/{endpoint}/test");
    let queued = api.create(&path, &platform().nonce(), json!({})).await.ok();
    let mut found = Value::Null;
    within(LIMIT, "the test was tried", async || {
        let all = deliveries(api, endpoint, "&event_type=webhook.test").await;
        let one = all.into_iter().find(|one| one["delivery_id"] == queued["delivery_id"]).expect("listed");
        found = one;
        found["state"] == "delivered"
            || !found["last_failure"].is_null() && found["last_failure"] != "CUT_OFF"
    })
    .await;
    found
}

pub(in super::super) async fn ms_23_tenant_webhooks_are_signed_repeated_and_stay_outside() {
    let tenant = platform().tenant().await;
    let api = &tenant.owner;
    signed_and_repeated(api).await;
    switched_off(api).await;
    outside(api).await;
}

async fn signed_and_repeated(api: &Api) {
    let receiver = Receiver::start(|_, before| if before == 0 { 503 } else { 204 }).await;
    let (endpoint, secret) = endpoint(api, &receiver.url("/hooks?tenant=1"), &TYPES).await;
    let path = format!("/v1/webhook-endpoints/{endpoint}");
    let shown = api.get(&path).await;
    assert!(!shown.body.to_string().contains("whsec_"), "the secret is shown once");

    let talk = Talk::begin(api, "live_chat").await;
    let message = talk.receive("My card number is 4711, please call me.").await.ok();
    let of_message = |one: &Received| one.body.contains(message["message_id"].as_str().expect("an id"));
    within(LIMIT, "the message's event arrives, and what was refused comes again", async || {
        let received = receiver.received();
        received.iter().any(of_message)
            && received[1..].iter().any(|one| one.headers["webhook-id"] == received[0].headers["webhook-id"])
    })
    .await;
    let now = platform().clock.now().unix_timestamp();
    for one in receiver.received() {
        assert!(is_signed(&one, &secret), "{one:?}");
        assert!(!is_signed(&Received { body: one.body.replace("data", "Data"), ..one.clone() }, &secret));
        let at: i64 = one.headers["webhook-timestamp"].parse().expect("seconds");
        assert!((now - 60..=now + 1).contains(&at), "{at} at {now}");
        assert_eq!(
            (one.path.as_str(), one.headers["content-type"].as_str()),
            ("/hooks?tenant=1", "application/json")
        );
        let body: Value = serde_json::from_str(&one.body).expect("JSON");
        assert!(TYPES.contains(&body["type"].as_str().expect("a type")), "{body}");
        // Thin: ids and nothing else.
        for (name, value) in body["data"].as_object().expect("an object") {
            let value = value.as_str().expect("a text");
            assert!(name.ends_with("_id") && value.len() == 36 && !value.contains(' '), "{body}");
        }
        assert!(!one.body.contains("4711") && !one.body.contains(&talk.email));
    }
    within(LIMIT, "all of it is delivered", async || {
        deliveries(api, &endpoint, "&state=pending").await.is_empty()
    })
    .await;
    let delivered = deliveries(api, &endpoint, "").await;
    assert!(delivered.iter().all(|one| one["state"] == "delivered" && one["last_status"] == 204));
    assert!(delivered.iter().any(|one| one["attempts"] == 2), "{delivered:?}");

    // Replayed, it comes under its old id.
    let (replayed, before) = (&delivered[0], receiver.received().len());
    let replay =
        format!("/v1/webhook-deliveries/{}/replay", replayed["delivery_id"].as_str().expect("an id"));
    api.post(&replay, json!({})).await.ok();
    within(LIMIT, "it comes again", async || receiver.received().len() > before).await;
    let again = receiver.received()[before].headers["webhook-id"].clone();
    assert_eq!(Some(again.as_str()), replayed["event_id"].as_str());

    // A rotation: both secrets sign.
    let etag = shown.headers["etag"].to_str().expect("text");
    let rotated = api.send(Method::POST, &format!("{path}/secret"), &[("if-match", etag)], None).await.ok();
    let second = rotated["secret"].as_str().expect("a secret").to_owned();
    assert_ne!(second, secret);
    let before = receiver.received().len();
    talk.receive("Hello?").await.ok();
    within(LIMIT, "the next event arrives", async || receiver.received().len() > before).await;
    let one = &receiver.received()[before];
    assert!(is_signed(one, &secret) && is_signed(one, &second), "{one:?}");
}

/// 410 Gone ends it at once; the tenant sees that, and can switch it on again.
async fn switched_off(api: &Api) {
    let receiver = Receiver::start(|_, before| if before == 0 { 410 } else { 200 }).await;
    let (endpoint, _) = endpoint(api, &receiver.url("/"), &TYPES).await;
    let delivery = tried(api, &endpoint).await;
    assert_eq!((&delivery["state"], &delivery["last_status"]), (&json!("failed"), &json!(410)));
    let path = format!("/v1/webhook-endpoints/{endpoint}");
    let gone = api.get(&path).await;
    assert_eq!(gone.body["state"], "gone");
    within(LIMIT, "it stands in the audit trail", async || {
        let events = api.get("/v1/audit-events?limit=200").await.ok();
        events["events"].as_array().expect("a list").iter().any(|event| {
            event["action"] == "DisableWebhookEndpoint" && event["target_id"] == endpoint.as_str()
        })
    })
    .await;
    let etag = gone.headers["etag"].to_str().expect("text");
    assert_eq!(api.patch(&path, etag, json!({"enabled": true})).await.ok()["state"], "enabled");
    assert_eq!(tried(api, &endpoint).await["state"], "delivered");
}

/// No way leads to an address that is not public.
async fn outside(api: &Api) {
    for private in [
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:5432/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[fd00:ec2::254]/",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://0x7f000001/",
        "http://127.1/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "ftp://hooks.example.org/",
        "http://user:secret@hooks.example.org/",
    ] {
        let new = json!({"url": private, "event_types": TYPES});
        let refused = api.create("/v1/webhook-endpoints", &platform().nonce(), new).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.body["field"]),
            (422, &json!("url")),
            "{private}: {}",
            refused.body
        );
    }
    // A name that leads there is found out when it is connected to.
    let port = platform().run.url.rsplit(':').next().expect("a port").trim_end_matches('/').to_owned();
    let (named, _) = endpoint(api, &format!("http://localhost:{port}/livez"), &TYPES).await;
    let delivery = tried(api, &named).await;
    assert_eq!(
        (&delivery["last_failure"], &delivery["last_status"]),
        (&json!("ADDRESS_NOT_ALLOWED"), &json!(null))
    );
    // A redirect is an answer, and is not followed.
    let receiver = Receiver::start(|_, _| 307).await;
    let (redirecting, _) = endpoint(api, &receiver.url("/"), &TYPES).await;
    let delivery = tried(api, &redirecting).await;
    assert_eq!((&delivery["last_failure"], &delivery["last_status"]), (&json!("NOT_2XX"), &json!(307)));
    assert!(receiver.received().iter().all(|one| one.path == "/"), "{:?}", receiver.received());
}
