//! Things that happen at once, or again, and must leave one truth.

use lethe_tests::{Api, PASSWORD, Talk, erase, platform};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_key_used_again_after_an_erasure_makes_nothing_and_holds_no_later_erasure_up() {
    let tenant = platform().tenant().await;
    let (gone, stays) =
        (Talk::begin(&tenant.owner, "live_chat").await, Talk::begin(&tenant.owner, "live_chat").await);
    let receive = async |talk: &Talk, key: &str| {
        let path = format!("/v1/conversations/{}/inbound-messages", talk.conversation);
        tenant.owner.create(&path, key, json!({"text": "hello"})).await
    };
    receive(&gone, "numbered-1").await.ok();
    erase(&tenant.owner, &gone.contact).await;
    assert_eq!(receive(&stays, "numbered-1").await.problem().0, 410);
    receive(&stays, "numbered-2").await.ok();
    erase(&tenant.owner, &stays.contact).await;
}

#[tokio::test]
async fn a_member_is_found_by_the_address_that_won() {
    let platform = platform();
    let tenant = platform.tenant().await;
    let me = tenant.owner.get("/v1/self").await.ok();
    let path = format!("/v1/members/{}", me["member_id"].as_str().expect("an id"));
    let etag = tenant.owner.get(&path).await.headers["etag"].to_str().expect("text").to_owned();
    let change = async |email: String| {
        let headers = [("if-match", etag.as_str())];
        let body = Some(json!({"email": email}));
        tenant.owner.send(Method::PATCH, &path, &headers, body).await.status.as_u16()
    };
    let (one, other) = (format!("one@{}.example", tenant.slug), format!("other@{}.example", tenant.slug));
    let (first, second) = tokio::join!(change(one.clone()), change(other.clone()));
    assert_eq!([first, second].iter().filter(|status| **status == 200).count(), 1, "{first} {second}");
    let email = tenant.owner.get(&path).await.ok()["email"].as_str().expect("an address").to_owned();
    assert_eq!(email, if first == 200 { one } else { other });
    Api::log_in(&platform.run.url, &tenant.slug, &email, PASSWORD).await;
}
