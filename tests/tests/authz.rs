//! The authorisation matrix: every RPC × every role and every lack of one, against the running services over gRPC; every
//! route with another tenant's ids (the gateway enforces no roles of its own, so roles are the RPCs'). The calls are generated from the protobuf and the OpenAPI document, the answers
//! stand in `authz.tsv`, written by hand.

use std::{collections::BTreeMap, time::Duration};

use lethe_access::{Principal, PrincipalToken, Role, Who};
use lethe_ids::SessionId;
use lethe_proto::{METHODS, MethodAccess};
use lethe_service::Failure;
use lethe_tests::{Api, PASSWORD, Signers, Talk, name_of, platform, servers_of, within};
use reqwest::Method;
use serde_json::{Value, json};

/// Begins as a PNG picture does.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const TABLE: &str = include_str!("authz.tsv");
const CALLERS: [&str; 6] = ["identity", "messaging", "search", "retention", "gateway", "operator"];
const ROLES: [(char, Role); 5] = [
    ('O', Role::Owner),
    ('A', Role::Admin),
    ('G', Role::Agent),
    ('P', Role::PrivacyOfficer),
    ('U', Role::Auditor),
];
/// What the access layer itself refuses with; other refusals come from behind it.
const DENIALS: [&str; 10] = [
    "SERVICE_TOKEN_MISSING",
    "SERVICE_TOKEN_INVALID",
    "SERVICE_TOKEN_EXPIRED",
    "CALLER_NOT_ALLOWED",
    "PRINCIPAL_MISSING",
    "PRINCIPAL_INVALID",
    "PRINCIPAL_EXPIRED",
    "PASSWORD_CHANGE_REQUIRED",
    "PERMISSION_DENIED",
    "SESSION_REVOKED",
];

/// What is open before a one-time password is changed.
const BEFORE_PASSWORD_CHANGE: [&str; 3] =
    ["IdentityService/LogOut", "IdentityService/GetSelf", "IdentityService/ChangePassword"];

/// A line of the table.
pub(crate) struct Line {
    may: &'static str,
    pub(crate) callers: Vec<&'static str>,
}

/// The table by `Service/Rpc`.
pub(crate) fn table() -> BTreeMap<String, Line> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#')).skip(1);
    let cells = lines.map(|line| line.split('\t').collect::<Vec<_>>());
    cells
        .map(|cells| {
            let [service, rpc, may, callers] = cells[..] else { panic!("four columns: {cells:?}") };
            (format!("{service}/{rpc}"), Line { may, callers: callers.split(' ').collect() })
        })
        .collect()
}

/// The reason for which the access layer refuses an empty request; `None` when it lets it through.
async fn refusal(
    signers: &Signers<'_>,
    method: &MethodAccess,
    server: &'static str,
    caller: Option<&'static str>,
    principal: Option<&PrincipalToken>,
) -> Option<String> {
    let status = signers.call(method, server, caller, principal, ()).await.err()?;
    let reason = Failure::from_status(&status).reason.into_owned();
    DENIALS.contains(&reason.as_str()).then_some(reason)
}

#[tokio::test]
async fn every_rpc_answers_each_role_and_caller_as_the_table_says() {
    let platform = platform();
    let signers = Signers::new(platform, platform.tenant().await);
    let table = table();
    let missing: Vec<_> = METHODS.iter().map(name_of).filter(|name| !table.contains_key(name)).collect();
    assert!(missing.is_empty(), "authz.tsv has no line for {missing:?}");
    assert_eq!(table.len(), METHODS.len(), "authz.tsv has lines for RPCs that do not exist");

    let mut wrong = Vec::new();
    let mut expect = |what: String, got: Option<String>, wanted: Option<&str>| {
        if got.as_deref() != wanted {
            wrong.push(format!("{what}: {got:?}, not {wanted:?}"));
        }
    };
    let owner = signers.signed("identity", &signers.principal(Role::Owner, Duration::ZERO));
    let expired = signers.signed("identity", &signers.principal(Role::Owner, Duration::from_secs(120)));
    let forged = signers.signed("gateway", &signers.principal(Role::Owner, Duration::ZERO));
    let newcomer = signers.signed("identity", &signers.newcomer());
    for method in METHODS {
        let (name, line) = (name_of(method), &table[&name_of(method)]);
        let person = line.may != "service" && line.may != "anyone";
        let caller = Some(line.callers[0]);
        for server in servers_of(method) {
            let at = |what: &str| format!("{name} at {server}, {what}");
            expect(
                at("no service"),
                refusal(&signers, method, server, None, Some(&owner)).await,
                Some("SERVICE_TOKEN_MISSING"),
            );
            for other in CALLERS {
                let wanted = (!line.callers.contains(&other)).then_some("CALLER_NOT_ALLOWED");
                expect(at(other), refusal(&signers, method, server, Some(other), Some(&owner)).await, wanted);
            }
            let needed = |reason: &'static str| person.then_some(reason);
            expect(
                at("nobody"),
                refusal(&signers, method, server, caller, None).await,
                needed("PRINCIPAL_MISSING"),
            );
            expect(
                at("expired"),
                refusal(&signers, method, server, caller, Some(&expired)).await,
                needed("PRINCIPAL_EXPIRED"),
            );
            expect(
                at("forged"),
                refusal(&signers, method, server, caller, Some(&forged)).await,
                needed("PRINCIPAL_INVALID"),
            );
            let early = BEFORE_PASSWORD_CHANGE.contains(&name.as_str());
            expect(
                at("a newcomer"),
                refusal(&signers, method, server, caller, Some(&newcomer)).await,
                (person && !early).then_some("PASSWORD_CHANGE_REQUIRED"),
            );
            for (letter, role) in ROLES.into_iter().filter(|_| person) {
                let principal = signers.signed("identity", &signers.principal(role, Duration::ZERO));
                let wanted = (!line.may.contains(letter)).then_some("PERMISSION_DENIED");
                expect(
                    at(&format!("{role:?}")),
                    refusal(&signers, method, server, caller, Some(&principal)).await,
                    wanted,
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_revoked_session_is_refused_by_every_service_within_a_second() {
    let platform = platform();
    let signers = Signers::new(platform, platform.tenant().await);
    let email = format!("owner@{}.example", signers.tenant.slug);
    let doomed = Api::log_in(&platform.run.url, &signers.tenant.slug, &email, PASSWORD).await;
    let listed = doomed.get("/v1/sessions").await.ok();
    let sessions = listed["sessions"].as_array().expect("a list");
    let own = sessions.iter().find(|session| session["current"] == json!(true)).expect("its own");
    let session: SessionId = own["session_id"].as_str().expect("an id").parse().expect("an id");
    let member = own["member_id"].as_str().expect("an id").parse().expect("an id");
    let who = Who::Member { member, session, roles: [Role::Owner].into(), must_change_password: false };
    let principal = Principal { who, ..signers.principal(Role::Owner, Duration::ZERO) };
    let token = signers.signed("identity", &principal);
    let is_for_persons =
        |method: &&MethodAccess| !["service", "anyone"].contains(&table()[&name_of(method)].may);
    let persons: Vec<_> = METHODS.iter().filter(is_for_persons).collect();
    signers.tenant.owner.delete(&format!("/v1/sessions/{session}")).await.ok();
    within(Duration::from_secs(1), "every service has heard of it", async || {
        for method in ["identity", "messaging", "search", "retention"]
            .map(|s| persons.iter().find(|m| servers_of(m) == [s]))
        {
            let method = method.expect("each service has an RPC for persons");
            let caller = Some(table()[&name_of(method)].callers[0]);
            if refusal(&signers, method, servers_of(method)[0], caller, Some(&token)).await.is_none() {
                return false;
            }
        }
        true
    })
    .await;
    for method in persons {
        let caller = Some(table()[&name_of(method)].callers[0]);
        let refused = refusal(&signers, method, servers_of(method)[0], caller, Some(&token)).await;
        assert_eq!(refused.as_deref(), Some("SESSION_REVOKED"), "{}", method.path);
    }
}

/// The body that the document gives as the example of an operation; without one, a token, which fits the rest.
fn example_body(document: &Value, operation: &Value) -> Option<Value> {
    let schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str()?;
    let name = schema.rsplit('/').next().expect("a name");
    match &document["components"]["schemas"][name]["example"] {
        Value::Null => Some(json!({"confirmation_token": "token"})),
        example => Some(example.clone()),
    }
}

#[tokio::test]
async fn no_route_answers_with_another_tenants_ids_or_without_a_session() {
    let platform = platform();
    let (one, other) = (platform.tenant().await, platform.tenant().await);
    let talk = Talk::begin(&one.owner, "live_chat").await;
    let message = talk.receive("hello").await.ok()["message_id"].as_str().expect("an id").to_owned();
    let erasure = one.owner.create("/v1/erasures", "k-1", json!({"contact_id": talk.contact})).await.ok();
    let erasure = erasure["erasure"]["erasure_id"].as_str().expect("an id").to_owned();
    let label = json!({"name": "Returns", "colour": "#a0b1c2"});
    let label = one.owner.create("/v1/labels", "k-2", label).await.ok();
    one.owner.put_bytes(&format!("/v1/contacts/{}/picture", talk.contact), "image/png", PNG).await.ok();
    let hooks = json!({"url": "https://hooks.example.org/", "event_types": ["message.changed"]});
    let hooks = one.owner.create("/v1/webhook-endpoints", "k-2", hooks).await.ok();
    let endpoint = hooks["endpoint"]["endpoint_id"].as_str().expect("an id").to_owned();
    let test = format!("/v1/webhook-endpoints/{endpoint}/test");
    let delivery = one.owner.create(&test, "k-3", json!({})).await.ok();
    let delivery = delivery["delivery_id"].as_str().expect("an id").to_owned();
    let me = one.owner.get("/v1/self").await.ok();
    let sessions = one.owner.get("/v1/sessions").await.ok();
    let team = one.owner.create("/v1/teams", "t-1", json!({"name": "Support"})).await.ok();
    let key = json!({"name": "Import", "scopes": ["read_inbox"]});
    let key = one.owner.create("/v1/api-keys", "k-1", key).await.ok();
    let hold = json!({"conversation_id": talk.conversation, "reason": "litigation", "case_reference": "2-O-17/26",
                      "ends_at": "2199-01-01T00:00:00Z"});
    let hold = one.owner.create("/v1/holds", "h-1", hold).await.ok();
    let leave = json!({"operator": "j.doe", "reason": "support", "ticket": "T-1", "hours": 1});
    let access = one.owner.create("/v1/operator-access", "o-1", leave).await.ok();
    let objection = json!({"kind": "objection"});
    let request = one.owner.create("/v1/self/requests", "r-1", objection).await.ok();
    let import = one.owner.create("/v1/imports", "i-1", json!({})).await.ok();
    let ids = BTreeMap::from([
        ("member_request_id", request["member_request_id"].as_str().expect("an id").to_owned()),
        ("api_key_id", key["api_key"]["api_key_id"].as_str().expect("an id").to_owned()),
        ("contact_id", talk.contact.clone()),
        ("hold_id", hold["hold_id"].as_str().expect("an id").to_owned()),
        ("conversation_id", talk.conversation.clone()),
        ("message_id", message),
        ("erasure_id", erasure),
        ("member_id", me["member_id"].as_str().expect("an id").to_owned()),
        ("session_id", sessions["sessions"][0]["session_id"].as_str().expect("an id").to_owned()),
        ("role", "agent".to_owned()),
        ("label_id", label["label_id"].as_str().expect("an id").to_owned()),
        ("operator_access_id", access["operator_access_id"].as_str().expect("an id").to_owned()),
        ("team_id", team["team_id"].as_str().expect("an id").to_owned()),
        ("endpoint_id", endpoint),
        ("delivery_id", delivery),
        ("import_id", import["import_id"].as_str().expect("an id").to_owned()),
        ("number", "1".to_owned()),
    ]);
    let document = Api::anonymous(&platform.run.url).get("/openapi.json").await.ok();
    let mut tried = 0;
    for (template, operations) in document["paths"].as_object().expect("paths") {
        let mut path = template.clone();
        for (name, id) in &ids {
            path = path.replace(&format!("{{{name}}}"), id);
        }
        assert!(!path.contains('{'), "{template} has a parameter that this test does not know");
        for (method, operation) in operations.as_object().expect("operations") {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let open = operation["security"].as_array().is_some_and(Vec::is_empty);
            let headers = [("idempotency-key", "foreign-1"), ("if-match", "\"1\"")];
            let body = example_body(&document, operation);
            let takes_a_picture = operation["requestBody"]["content"]["image/png"].is_object();
            let takes_lines = operation["requestBody"]["content"]["application/jsonl"].is_object();
            let send = async |api: &Api| {
                if takes_lines {
                    return api.put_bytes(&path, "application/jsonl", b"{}").await;
                }
                if takes_a_picture {
                    return api.put_bytes(&path, "image/png", PNG).await;
                }
                api.send(method.clone(), &path, &headers, body.clone()).await
            };
            if !open {
                let anonymous = send(&Api::anonymous(&platform.run.url)).await;
                assert_eq!(
                    anonymous.problem().0,
                    401,
                    "{method} {path} without a session: {}",
                    anonymous.body
                );
            }
            if template.contains('{') {
                let answer = send(&other.owner).await;
                let status = answer.problem().0;
                assert_eq!(status, 404, "{method} {path}: {}", answer.body);
                tried += 1;
            }
        }
    }
    assert!(tried > 15, "routes with ids were tried: {tried}");
    // And nothing of it had an effect.
    one.owner.get(&format!("/v1/contacts/{}", talk.contact)).await.ok();
    one.owner.get("/v1/self").await.ok();
}
