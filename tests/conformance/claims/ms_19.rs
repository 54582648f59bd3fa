//! ms-19: restriction of processing (GDPR Art. 18): a restricted contact's data are kept, not used: no outbound message, no
//! search hit.

use std::time::Duration;

use lethe_tests::{Talk, platform, within};
use serde_json::json;

pub(in super::super) async fn ms_19_a_restricted_contact_is_kept_but_not_used() {
    let tenant = platform().tenant().await;
    let talk = Talk::begin(&tenant.owner, "live_chat").await;
    let word = format!("zq{}", platform().nonce());
    let accepted = talk.receive(&format!("My number is {word}")).await.ok();
    let search = json!({"query": word, "wait_for": {"contact_id": talk.contact, "seq": accepted["seq"]}});
    let hits = async || {
        let found = tenant.owner.post("/v1/search/messages", search.clone()).await.ok();
        found["hits"].as_array().expect("hits").len()
    };
    assert_eq!(hits().await, 1);

    let restriction = format!("/v1/contacts/{}/restriction", talk.contact);
    tenant.owner.put(&restriction, json!({"ground": "accuracy"})).await.ok();
    assert_eq!(hits().await, 0, "a restricted contact's message was found");
    assert_eq!(talk.send("Hello").await.problem(), (409, "CONTACT_RESTRICTED"));

    // Kept: it can be read, and what the person writes is still stored.
    let contact = tenant.owner.get(&format!("/v1/contacts/{}", talk.contact)).await.ok();
    assert_eq!(contact["restricted"], json!(true));
    let kept = talk.receive("Are you still there?").await.ok();
    let messages = tenant.owner.get(&format!("/v1/conversations/{}/messages", talk.conversation)).await.ok();
    assert_eq!(messages["messages"].as_array().expect("messages").len(), 2);

    // As it was: who asked for the restriction may need it as evidence (Art. 18(2)).
    let path = format!("/v1/messages/{}", kept["message_id"].as_str().expect("an id"));
    let edited = tenant.owner.patch(&path, "\"1\"", json!({"text": "I agree to everything"})).await;
    assert_eq!(edited.problem(), (409, "CONTACT_RESTRICTED"));
    assert_eq!(tenant.owner.delete(&path).await.problem(), (409, "CONTACT_RESTRICTED"));
    assert_eq!(tenant.owner.get(&path).await.ok()["text"], json!("Are you still there?"));

    // Lifted, it is used again, by itself.
    tenant.owner.delete(&restriction).await.ok();
    talk.send("Here we are.").await.ok();
    within(Duration::from_secs(5), "the message is found again", async || hits().await == 1).await;
}
