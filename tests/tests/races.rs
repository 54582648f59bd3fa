//! Things that happen at once, or again, and must leave one truth.

use std::time::Duration;

use lethe_tests::{Api, PASSWORD, Talk, erase, platform, within};
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

/// Two erasures of one person, asked for while that was two contacts: neither waits for the other for ever, and what is certified
/// is gone.
#[tokio::test]
async fn erasures_of_two_contacts_who_are_merged_meanwhile_both_come_to_their_end() {
    let tenant = platform().tenant().await;
    let api = &tenant.owner;
    let (one, other) = (Talk::begin(api, "live_chat").await, Talk::begin(api, "sms").await);
    let mut asked = Vec::new();
    for talk in [&one, &other] {
        talk.receive("hello").await.ok();
        let body = json!({"contact_id": talk.contact});
        asked.push(api.create("/v1/erasures", &platform().nonce(), body).await.ok());
    }
    let merge = json!({"merged_contact_id": other.contact});
    api.post(&format!("/v1/contacts/{}/merge", one.contact), merge).await.ok();
    let mut paths = Vec::new();
    for requested in &asked {
        let path = format!("/v1/erasures/{}", requested["erasure"]["erasure_id"].as_str().expect("an id"));
        let confirm = json!({"confirmation_token": requested["confirmation_token"]});
        // The first may have been so fast that nothing is left to confirm.
        let confirmed = api.post(&format!("{path}/confirm"), confirm).await;
        assert!(
            confirmed.status.is_success() || confirmed.problem().1 == "ERASURE_CANCELLED",
            "{}",
            confirmed.body
        );
        paths.push(path);
    }
    let mut certified = 0;
    for path in &paths {
        let mut state = json!(null);
        within(Duration::from_secs(60), "each comes to its end", async || {
            state = api.get(path).await.ok()["state"].clone();
            ["certified", "cancelled"].contains(&state.as_str().expect("a state"))
        })
        .await;
        certified += usize::from(state == json!("certified"));
    }
    assert!(certified > 0);
    for talk in [&one, &other] {
        assert_eq!(api.get(&format!("/v1/contacts/{}", talk.contact)).await.problem().0, 404);
        assert_eq!(api.get(&format!("/v1/conversations/{}", talk.conversation)).await.problem().0, 404);
    }
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
