//! id-11: programs sign their requests with HMAC (RFC 9421) by API keys that have scopes, a limit, an end; a key is revoked at
//! once; what keys asked is logged for audit.

use std::time::Duration;

use lethe_tests::{Api, Machine, PASSWORD, alone, platform, within};
use reqwest::{Method, header::HeaderValue};
use serde_json::{Value, json};

const KEY: [(&str, &str); 1] = [("idempotency-key", "import-1")];

pub(in super::super) async fn id_11_programs_sign_with_api_keys_that_have_scopes_limits_and_a_log() {
    let _alone = alone().await;
    let platform = platform();
    let tenant = platform.tenant().await;
    let owner = &tenant.owner;

    // Made by who may; with no more than he may; its secret is said once.
    let wanted = json!({"name": "Import", "scopes": ["read_inbox", "user_data"]});
    let made = owner.create("/v1/api-keys", "one", wanted.clone()).await.ok();
    let again = owner.create("/v1/api-keys", "one", wanted).await.ok();
    assert!(made["secret"].as_str().expect("a secret").starts_with("lth_k_"));
    assert_eq!((&again["api_key"], &again["secret"]), (&made["api_key"], &Value::Null));
    let email = format!("ada@{}.example", tenant.slug);
    let ada = json!({"name": "Ada", "email": email, "roles": ["agent"]});
    let ada = owner.create("/v1/members", "ada", ada).await.ok();
    let one_time = ada["one_time_password"].as_str().expect("a password").to_owned();
    let ada = Api::log_in_first(&platform.run.url, &tenant.slug, &email, &one_time).await;
    let refused = ada.create("/v1/api-keys", "two", json!({"name": "x", "scopes": ["read_inbox"]})).await;
    assert_eq!(refused.problem(), (403, "PERMISSION_DENIED"));
    let admin = json!({"name": "Adam", "email": format!("adam@{}.example", tenant.slug), "roles": ["admin"]});
    let admin = owner.create("/v1/members", "adam", admin).await.ok();
    let one_time = admin["one_time_password"].as_str().expect("a password").to_owned();
    let email = format!("adam@{}.example", tenant.slug);
    let admin = Api::log_in_first(&platform.run.url, &tenant.slug, &email, &one_time).await;
    let more = admin.create("/v1/api-keys", "three", json!({"name": "x", "scopes": ["billing"]})).await;
    assert_eq!((more.problem().0, more.body["field"].as_str()), (422, Some("scopes")));

    // It does what its scopes say, and nothing else.
    let machine = Machine::with(owner, &["read_inbox", "user_data"]).await;
    let contact = machine.create("/v1/contacts", "c-1", json!({"name": "Grace Hopper"})).await.ok();
    let contact = contact["contact_id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/contacts/{contact}");
    machine.get(&path).await.ok();
    machine.get("/v1/contacts?limit=1").await.ok();
    let open = json!({"contact_id": contact, "channel": "live_chat"});
    let refused = machine.create("/v1/conversations", "o-1", open).await;
    assert_eq!(refused.problem(), (403, "PERMISSION_DENIED"));
    for own in ["/v1/self", "/v1/sessions", "/v1/api-keys"] {
        assert_eq!(machine.get(own).await.problem().0, 403, "{own}: a key has no account, and makes no keys");
    }

    tampered(&machine).await;
    replayed(&machine, &path).await;

    // A limit of its own: the whole, or less of it while gateways of other tests come and go, which have their parts.
    let often = json!({"name": "Often", "scopes": ["read_inbox"], "requests_per_minute": 6});
    let limited = Machine::make(owner, often).await;
    let mut allowed = 0;
    let refused = loop {
        let answer = limited.get(&path).await;
        if answer.status != 200 {
            break answer;
        }
        allowed += 1;
        assert!(allowed <= 6, "more than the key has");
    };
    assert!(allowed >= 2, "{allowed}");
    assert_eq!(refused.problem(), (429, "RATE_LIMITED"));
    assert_eq!(refused.headers["ratelimit-policy"], "\"api_key\";q=6;w=60");
    let seconds: u64 = refused.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=30).contains(&seconds), "{seconds}");

    // Revoked: refused within a second, at another gateway too.
    let replica = platform.gateway("").await;
    let elsewhere = machine.at(&replica.url);
    elsewhere.get(&path).await.ok();
    owner.delete(&format!("/v1/api-keys/{}", machine.id)).await.ok();
    assert_eq!(machine.get(&path).await.problem(), (401, "API_KEY_UNKNOWN"), "here at once");
    within(Duration::from_secs(1), "a revoked key is refused at another gateway", async || {
        elsewhere.get(&path).await.problem() == (401, "API_KEY_UNKNOWN")
    })
    .await;
    replica.stop().await;

    logged(owner, &machine, &contact).await;
    // The owner himself still works.
    Api::log_in(&platform.run.url, &tenant.slug, &format!("owner@{}.example", tenant.slug), PASSWORD).await;
}

/// Whatever of a request is not as it was signed is refused, and so is what was signed another way.
async fn tampered(machine: &Machine) {
    let sign = |seconds| {
        machine.sign(Method::POST, "/v1/contacts?", &KEY, Some(json!({"name": "Ada Lovelace"})), seconds)
    };
    let expect = async |what: &str, signed, wanted: &str| {
        assert_eq!(machine.send(signed).await.problem(), (401, wanted), "{what}");
    };
    let mut other = sign(0);
    other.path = "/v1/contacts?limit=2".to_owned();
    expect("another query", other, "SIGNATURE_INVALID").await;
    let mut other = sign(0);
    other.body = json!({"name": "Eve"}).to_string();
    expect("another body", other, "CONTENT_DIGEST_INVALID").await;
    let mut other = sign(0);
    other.headers.insert("host", HeaderValue::from_static("lethe.example"));
    expect("another host", other, "SIGNATURE_INVALID").await;
    let mut other = sign(0);
    other.headers.insert("idempotency-key", HeaderValue::from_static("import-2"));
    expect("another nonce", other, "SIGNATURE_INVALID").await;
    let mut other = sign(0);
    let input = other.headers["signature-input"].to_str().expect("text").replace("hmac-sha256", "none");
    other.headers.insert("signature-input", HeaderValue::try_from(input).expect("a value"));
    expect("another algorithm", other, "SIGNATURE_ALGORITHM_UNSUPPORTED").await;
    let mut other = sign(0);
    let input = other.headers["signature-input"].to_str().expect("text").replace("\"content-digest\"", "");
    other.headers.insert("signature-input", HeaderValue::try_from(input).expect("a value"));
    expect("a digest that is not signed", other, "SIGNATURE_COMPONENT_MISSING").await;
    let mut other = sign(0);
    other.headers.append("signature", HeaderValue::from_static("lethe=:AAAA:"));
    expect("a label twice", other, "SIGNATURE_AMBIGUOUS").await;
    expect("too old", sign(-65), "SIGNATURE_NOT_CURRENT").await;
    expect("not yet", sign(65), "SIGNATURE_NOT_CURRENT").await;
    let unsigned = machine.sign(Method::POST, "/v1/contacts", &[], Some(json!({"name": "Ada"})), 0);
    expect("no nonce", unsigned, "SIGNATURE_NONCE_REQUIRED").await;
}

/// A change that is sent again, here or at another gateway, does nothing a second time; a read may be repeated.
async fn replayed(machine: &Machine, path: &str) {
    let replica = platform().gateway("").await;
    let url = platform().run.url.clone();
    // Both gateways are one host to the outside; a signature names it.
    let host = HeaderValue::from_str(url.split_once("://").expect("a URL").1).expect("a host");
    let there = |mut signed: lethe_tests::Signed| {
        signed.headers.insert("host", host.clone());
        signed
    };
    let elsewhere = machine.at(&replica.url);
    let create = machine.sign(Method::POST, "/v1/contacts", &KEY, Some(json!({"name": "Ada"})), 0);
    let first = machine.send(create.clone()).await.ok();
    assert_eq!(machine.send(create.clone()).await.ok(), first, "the same contact");
    assert_eq!(elsewhere.send(there(create)).await.ok(), first, "the same contact, from another gateway");

    let opt_out = machine.sign(Method::PUT, &format!("{path}/opt-out"), &[("idempotency-key", "o")], None, 0);
    let opt_in =
        machine.sign(Method::DELETE, &format!("{path}/opt-out"), &[("idempotency-key", "i")], None, 0);
    machine.send(opt_out.clone()).await.ok();
    machine.send(opt_in).await.ok();
    assert_eq!(machine.send(opt_out.clone()).await.problem(), (401, "SIGNATURE_REPLAYED"));
    assert_eq!(elsewhere.send(there(opt_out)).await.problem(), (401, "SIGNATURE_REPLAYED"));

    let version = machine.get(path).await;
    let etag = version.headers["etag"].to_str().expect("a tag").to_owned();
    let headers = [("idempotency-key", "p"), ("if-match", etag.as_str())];
    let patch = machine.sign(Method::PATCH, path, &headers, Some(json!({"company": "Navy"})), 0);
    machine.send(patch.clone()).await.ok();
    assert_eq!(elsewhere.send(there(patch)).await.problem(), (412, "VERSION_MISMATCH"));

    let read = machine.sign(Method::GET, path, &[], None, 0);
    for _ in 0..2 {
        machine.send(read.clone()).await.ok();
    }
    elsewhere.send(there(read)).await.ok();
    replica.stop().await;
}

/// What the key asked stands in the log, without ids and bodies, in pages, for those who may read the audit trail.
async fn logged(owner: &Api, machine: &Machine, contact: &str) {
    let path = format!("/v1/api-requests?api_key_id={}", machine.id);
    within(Duration::from_secs(10), "the requests are recorded", async || {
        let listed = owner.get(&path).await.ok();
        let requests = listed["requests"].as_array().expect("a list");
        let has = |operation: &str, status: u64| {
            requests.iter().any(|one| one["operation"] == operation && one["status"] == status)
        };
        has("CreateContact", 201) && has("GetContact", 200) && has("OpenConversation", 403)
    })
    .await;
    let listed = owner.get(&format!("{path}&limit=3")).await.ok();
    let next = listed["next"].as_str().expect("another page").to_owned();
    let second = owner.get(&format!("{path}&limit=3&after={next}")).await.ok();
    let first = listed["requests"].as_array().expect("a list");
    let second = second["requests"].as_array().expect("a list");
    assert!(first.len() == 3 && !second.is_empty() && first.iter().all(|one| !second.contains(one)));
    assert!(!json!([first, second]).to_string().contains(contact));

    let trail = format!("/v1/audit-events?actor_id={}", machine.id);
    within(Duration::from_secs(10), "the key acts as itself in the audit trail", async || {
        let trail = owner.get(&trail).await.ok();
        let events = trail["events"].as_array().expect("a list");
        events.iter().any(|event| event["action"] == "CreateContact" && event["actor_kind"] == "api_key")
    })
    .await;
    let keys = owner.get("/v1/api-keys").await.ok();
    let own = keys["api_keys"].as_array().expect("a list").iter().find(|key| key["api_key_id"] == machine.id);
    let own = own.expect("a revoked key is still listed");
    assert!(own["revoked_at"].is_string() && own["last_used_at"].is_string(), "{own}");
}
