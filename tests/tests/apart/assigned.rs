//! Whom a conversation is given to: messaging asks identity, each in processes of its own.

use lethe_tests::{Api, alone};
use reqwest::Method;
use serde_json::{Value, json};

use super::{apart, nonce, talk};

/// A new member of the tenant.
async fn member(api: &Api) -> String {
    let nonce = nonce();
    let body =
        json!({"name": "Grace Giver", "email": format!("{nonce}@members.example"), "roles": ["agent"]});
    let made = api.create("/v1/members", &nonce, body).await.ok();
    made["member"]["member_id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_given_to_an_active_member_of_the_tenant_and_to_nobody_while_identity_is_away() {
    let _alone = alone().await;
    let apart = apart();
    let (owner, foreigner) = (apart.tenant().await.owner, apart.tenant().await.owner);
    let (colleague, left, foreign) = (member(&owner).await, member(&owner).await, member(&foreigner).await);
    owner.send(Method::POST, &format!("/v1/members/{left}/deactivate"), &[], None).await.ok();
    let (_, conversation) = talk(&owner, &nonce()).await;
    let path = format!("/v1/conversations/{conversation}");
    let change = async |body: Value| {
        let etag = owner.get(&path).await.headers["etag"].to_str().expect("a version").to_owned();
        owner.patch(&path, &etag, body).await
    };
    let give = async |member: &str| change(json!({"assigned_member_id": member})).await;

    for nobody in [&left, &foreign, "mem_0199aabbccdd7eef8123456789abcdef"] {
        let refused = give(nobody).await;
        assert_eq!(refused.problem(), (422, "FIELD_INVALID"), "{:?}", refused.body);
        assert_eq!(refused.body["field"], "assigned_member_id", "{:?}", refused.body);
    }
    assert_eq!(owner.get(&path).await.ok()["assigned_member_id"], Value::Null);
    assert_eq!(give(&colleague).await.ok()["assigned_member_id"], colleague);
    assert_eq!(change(json!({"assigned_member_id": null})).await.ok()["assigned_member_id"], Value::Null);

    let paused: Vec<_> = apart.processes["identity"].iter().map(|process| process.pause()).collect();
    let refused = give(&colleague).await;
    let resolved = change(json!({"status": "resolved"})).await;
    paused.into_iter().for_each(lethe_tests::Paused::resume);
    assert_eq!(refused.problem(), (503, "IDENTITY_UNAVAILABLE"), "{:?}", refused.body);
    assert_eq!(resolved.ok()["status"], "resolved");
    assert_eq!(give(&colleague).await.ok()["assigned_member_id"], colleague);
}
