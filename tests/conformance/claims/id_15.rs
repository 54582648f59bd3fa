//! id-15: operator access to a tenant's data only by an explicit, time-limited, reasoned grant that the tenant sees in its audit
//! trail, as it sees every use of it. On a platform of its own, because its clock is moved.

use std::time::Duration;

use lethe::dev::{self, Dev, Options};
use lethe_ambient::Clock;
use lethe_servers::Durability;
use lethe_tests::{Api, PASSWORD, Talk, alone, open_operator_access, request_operator_access};
use reqwest::Method;
use serde_json::{Value, json};

const NOT_GRANTED: &str = "OPERATOR_ACCESS_NOT_GRANTED";

pub(in super::super) async fn id_15_an_operator_reaches_data_only_by_a_timed_grant_in_the_tenants_sight() {
    let _alone = alone().await;
    let root = tempfile::tempdir().expect("a folder");
    let clock = Clock::shifted();
    let folder = root.path().join("lethe");
    let options =
        Options { durability: Durability::Fast, clock: clock.clone(), ..Options::new(folder.clone(), 0) };
    let dev = Box::pin(Dev::start(options, |_| {})).await.expect("the platform starts");
    let file = folder.join("lethe.toml");
    let tenant = async |slug: &str| {
        let email = format!("owner@{slug}.example");
        let (_, password) = dev::create_tenant(&file, slug, &email).await.expect("a tenant");
        Api::log_in_first(&dev.run.url, slug, &email, &password).await
    };
    let (owner, other) = (tenant("acme").await, tenant("other").await);
    let talk = Talk::begin(&owner, "live_chat").await;
    talk.receive("hello").await.ok();
    let contact = format!("/v1/contacts/{}", talk.contact);
    let open = async |access: &str| open_operator_access(&file, "acme", access).await;
    let answer = async |access: &str, end: &str, body: Option<Value>| {
        owner.send(Method::POST, &format!("/v1/operator-access/{access}/{end}"), &[], body).await
    };

    // Asking grants nothing; the tenant sees who asks, why, for what and for how long.
    let asked = request_operator_access(&file, "acme").await;
    assert_eq!(open(&asked).await, Err(NOT_GRANTED.to_owned()));
    let listed = owner.get("/v1/operator-access").await.ok();
    let one = &listed["accesses"][0];
    assert_eq!((&one["state"], &one["operator"]), (&json!("requested"), &json!("j.doe")));
    assert_eq!((&one["reason"], &one["ticket"]), (&json!("support"), &json!("T-4711")));
    assert_eq!(one["permissions"], json!(["read_inbox", "read_erasures", "read_audit"]));
    assert_eq!(one["hours"], json!(4));
    let foreign = other.post(&format!("/v1/operator-access/{asked}/approve"), json!({})).await;
    assert_eq!(foreign.problem().0, 404, "another tenant's");

    // A no is a no.
    let denied = request_operator_access(&file, "acme").await;
    answer(&denied, "deny", None).await.ok();
    assert_eq!(open(&denied).await, Err(NOT_GRANTED.to_owned()));

    // Granted, and less than was asked for: the inbox may be read, and nothing else be done.
    let less = json!({"permissions": ["read_inbox"], "hours": 2});
    let granted = answer(&asked, "approve", Some(less)).await.ok();
    assert_eq!((&granted["state"], &granted["hours"]), (&json!("granted"), &json!(2)));
    let token = open(&asked).await.expect("it is granted");
    assert_eq!(open(&asked).await, Err("OPERATOR_ACCESS_OPENED".to_owned()), "one session a grant");
    let operator = owner.with_token(&token);
    operator.get(&contact).await.ok();
    assert_eq!(other.with_token(&token).get(&contact).await.ok()["contact_id"], json!(talk.contact));
    assert_eq!(operator.get("/v1/erasures").await.problem(), (403, "PERMISSION_DENIED"));
    assert_eq!(operator.patch(&contact, "\"1\"", json!({"company": "x"})).await.problem().0, 403);
    for own in ["/v1/self", "/v1/sessions", "/v1/operator-access"] {
        assert_eq!(operator.get(own).await.problem().0, 403, "{own}");
    }
    let itself = operator.post(&format!("/v1/operator-access/{denied}/approve"), json!({})).await;
    assert_eq!(itself.problem(), (403, "PERMISSION_DENIED"), "an operator grants nothing");

    // Every step and every use stands in the tenant's audit trail, refused or not, with the reason and the route.
    let trail = async |access: &str| {
        let found = owner.get(&format!("/v1/audit-events?target_id={access}&limit=200")).await.ok();
        found["events"].as_array().expect("events").iter().rev().cloned().collect::<Vec<_>>()
    };
    let events = trail(&asked).await;
    let actions: Vec<_> = events.iter().map(|event| event["action"].as_str().expect("an action")).collect();
    assert_eq!(actions[..3], ["RequestOperatorAccess", "ApproveOperatorAccess", "OpenOperatorAccess"]);
    assert_eq!(actions[3..], ["UseOperatorAccess"; 8]);
    assert_eq!(
        events[1]["detail"],
        json!("reason=support ticket=T-4711 hours=2 permissions=read_inbox"),
        "what was granted"
    );
    assert_eq!((&events[3]["actor_kind"], &events[3]["actor_id"]), (&json!("operator"), &json!(asked)));
    let route = |event: &Value| event["detail"].as_str().expect("a detail").to_owned();
    assert_eq!(route(&events[3]), "reason=support ticket=T-4711 GET /v1/contacts/{contact_id}");
    assert_eq!(route(&events[5]), "reason=support ticket=T-4711 GET /v1/erasures");

    // Revoked, it is out with the next request, everywhere; and that request is no use of it any more.
    answer(&asked, "revoke", None).await.ok();
    assert_eq!(operator.get(&contact).await.problem().0, 401);
    let events = trail(&asked).await;
    assert_eq!(events.last().expect("events")["action"], json!("RevokeOperatorAccess"));
    assert_eq!(open(&asked).await, Err(NOT_GRANTED.to_owned()));

    // Nothing is granted for longer than three days, without a reason, or that would outlast its time.
    let mut leave = json!({"operator": "j.doe", "reason": "incident", "ticket": "INC/7", "hours": 1});
    for (field, wrong) in
        [("hours", json!(73)), ("reason", json!("curiosity")), ("permissions", json!(["members"]))]
    {
        let mut leave = leave.clone();
        leave[field] = wrong;
        assert_eq!(owner.create("/v1/operator-access", "wrong", leave).await.problem().0, 422, "{field}");
    }

    // It ends by itself, to the second.
    leave["permissions"] = json!(["read_inbox"]);
    let granted = owner.create("/v1/operator-access", "hour", leave).await.ok();
    let hour = granted["operator_access_id"].as_str().expect("an id");
    let operator = owner.with_token(&open(hour).await.expect("it is granted"));
    operator.get(&contact).await.ok();
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(operator.get(&contact).await.problem(), (401, "SESSION_INVALID"));
    let owner = Api::log_in(&dev.run.url, "acme", "owner@acme.example", PASSWORD).await;
    let listed = owner.get("/v1/operator-access").await.ok();
    assert_eq!(listed["accesses"][0]["state"], json!("expired"));
    assert_eq!(listed["accesses"].as_array().expect("a list").len(), 3);
    Box::pin(dev.stop()).await.expect("it stops in order");
}
