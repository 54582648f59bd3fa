//! id-07: owner, admin, agent, privacy officer, auditor; separate permissions for app settings, billing, user data, sending
//! and editing; admin rights only by explicit grant.

use std::collections::BTreeSet;

use lethe_proto::METHODS;
use lethe_tests::{Api, Talk, Tenant, platform};
use reqwest::Method;
use serde_json::json;

/// Python's bcrypt made it of "correct horse".
const BCRYPT: &str = "$2b$05$Flnd.Cd3p1/tXdF28SzYjuts0hz5X/kMKIWXuyn6AYRvJih45H7HS";

/// A member with these roles; the id, and the session.
async fn member(tenant: &Tenant, name: &str, roles: &[&str]) -> (String, Api) {
    let email = format!("{name}@{}.example", tenant.slug);
    let new = json!({"name": name, "email": email, "roles": roles, "bcrypt_hash": BCRYPT});
    let made = tenant.owner.create("/v1/members", name, new).await.ok();
    let api = Api::log_in(&platform().run.url, &tenant.slug, &email, "correct horse").await;
    (made["member"]["member_id"].as_str().expect("an id").to_owned(), api)
}

pub(in super::super) async fn id_07_rights_are_separate_and_only_by_explicit_grant() {
    let tenant = platform().tenant().await;
    let talk = Talk::begin(&tenant.owner, "live_chat").await;
    let message = talk.send("hello").await.ok()["message_id"].as_str().expect("an id").to_owned();

    // Each right by what needs it alone. The version is one that never was: who may, gets as far as 412.
    let never = [("if-match", "\"999999\"")];
    let (contact, edited) = (format!("/v1/contacts/{}", talk.contact), format!("/v1/messages/{message}"));
    let sent = format!("/v1/conversations/{}/messages", talk.conversation);
    let rights = [
        ("app settings", Method::PATCH, "/v1/tenant", json!({"settings": {"locale": "en"}})),
        ("billing", Method::PUT, "/v1/tenant/plan", json!({"plan": "business"})),
        ("user data", Method::PATCH, &contact, json!({"company": "Navy"})),
        ("sending", Method::POST, &sent, json!({"text": ""})),
        ("editing", Method::PATCH, &edited, json!({"text": "hi"})),
    ];
    let may = async |api: &Api| -> String {
        let mut answers = String::new();
        for (right, method, path, body) in &rights {
            let headers = [never[0], ("idempotency-key", "k")];
            let ask = async || api.send(method.clone(), path, &headers, Some(body.clone())).await;
            let mut answer = ask().await;
            // A session whose rights changed twice within a second is told to come again, once.
            if answer.problem() == (401, "SESSION_REVOKED") {
                answer = ask().await;
            }
            let (status, code) = answer.problem();
            assert!(matches!(status, 403 | 412 | 422), "{right}: {status} {code}");
            answers.push(if status == 403 { 'n' } else { 'y' });
        }
        answers
    };
    assert_eq!(may(&tenant.owner).await, "yyyyy", "the owner");
    for (role, answers) in
        [("admin", "ynyyy"), ("agent", "nnyyy"), ("privacy_officer", "nnynn"), ("auditor", "nnnnn")]
    {
        let (_, api) = member(&tenant, &role.replace('_', "-"), &[role]).await;
        assert_eq!(may(&api).await, answers, "{role}");
    }
    // Five permissions, none of which is another: also of sending and editing, which no role has apart.
    let five = ["UpdateTenant", "SetPlan", "UpdateContact", "SendMessage", "EditMessage"];
    let five = METHODS.iter().filter(|method| five.contains(&method.rpc));
    assert_eq!(five.map(|method| method.permission as i32).collect::<BTreeSet<_>>().len(), 5);

    // Admin rights only by explicit grant: not by being there, not by oneself; and gone at once.
    let (id, api) = member(&tenant, "newcomer", &[]).await;
    assert_eq!(may(&api).await, "nnnnn", "a member without a role");
    let admin = format!("/v1/members/{id}/roles/admin");
    assert_eq!(api.send(Method::PUT, &admin, &[], None).await.problem(), (403, "PERMISSION_DENIED"));
    tenant.owner.send(Method::PUT, &admin, &[], None).await.ok();
    assert_eq!(may(&api).await, "ynyyy");
    let owner = format!("/v1/members/{id}/roles/owner");
    assert_eq!(api.send(Method::PUT, &owner, &[], None).await.problem(), (403, "OWNER_REQUIRED"));
    tenant.owner.delete(&admin).await.ok();
    assert_eq!(may(&api).await, "nnnnn");
    for action in ["GrantRole", "RevokeRole"] {
        let events = tenant.owner.get(&format!("/v1/audit-events?action={action}&target_id={id}")).await.ok();
        assert_eq!(events["events"][0]["detail"], json!("admin"), "{action}: {events}");
    }
}
