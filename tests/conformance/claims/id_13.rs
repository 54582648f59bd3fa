//! id-13: a member who leaves can be erased: photo and full name go, the conversations stay; on request the first name and
//! the rest go too.

use lethe_tests::{Api, Talk, platform};
use reqwest::Method;
use serde_json::{Value, json};

/// Python's bcrypt made it of "correct horse".
const BCRYPT: &str = "$2b$05$Flnd.Cd3p1/tXdF28SzYjuts0hz5X/kMKIWXuyn6AYRvJih45H7HS";

pub(in super::super) async fn id_13_a_member_who_left_is_erased_and_his_conversations_stay() {
    let tenant = platform().tenant().await;
    let email = format!("ada@{}.example", tenant.slug);
    let ada = json!({"name": "Ada Lovelace", "email": email, "phone": "+442071838750", "roles": ["agent"], "bcrypt_hash": BCRYPT});
    let made = tenant.owner.create("/v1/members", "ada", ada).await.ok();
    let id = made["member"]["member_id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/members/{id}");
    let api = Api::log_in(&platform().run.url, &tenant.slug, &email, "correct horse").await;
    let (photo, png) = (format!("{path}/photo"), b"\x89PNG\r\n\x1a\nface".to_vec());
    let set = api.exchange(Method::PUT, &photo, &[("content-type", "image/png")], Some(png)).await;
    assert_eq!(set.0, 204);
    let talk = Talk::begin(&api, "live_chat").await;
    talk.send("How can I help?").await.ok();
    let messages = format!("/v1/conversations/{}/messages", talk.conversation);
    let said = tenant.owner.get(&messages).await.ok();
    assert!(said.to_string().contains(&id), "the message names its author");

    // Nothing goes by accident: first she leaves, and whoever erases says so twice.
    let erase = async |body: Value| tenant.owner.post(&format!("{path}/erase"), body).await;
    let profile = json!({"mode": "profile", "first_name": "Ada", "confirmation": id});
    assert_eq!(erase(profile.clone()).await.problem(), (409, "MEMBER_ACTIVE"));
    tenant.owner.send(Method::POST, &format!("{path}/deactivate"), &[], None).await.ok();
    let unconfirmed = erase(json!({"mode": "profile", "confirmation": "yes"})).await;
    assert_eq!(unconfirmed.problem().0, 422);
    assert_eq!(tenant.owner.get(&format!("{path}/erasure")).await.problem().0, 404);

    // Photo and full name go; the first name may stay, the conversations stay.
    let erased = erase(profile).await.ok();
    let nothing_found = |erased: &Value| {
        let findings = erased["findings"].as_array().expect("findings");
        !findings.is_empty() && findings.iter().all(|finding| finding["found"] == json!(0))
    };
    assert!(erased["erased_at"].is_string() && nothing_found(&erased), "{erased}");
    let left = tenant.owner.get(&path).await.ok();
    assert_eq!((&left["name"], &left["email"]), (&json!("Ada"), &json!(email)));
    assert_eq!(tenant.owner.get(&photo).await.problem(), (404, "PHOTO_NOT_FOUND"));
    assert_eq!(tenant.owner.get(&messages).await.ok(), said);

    // On request the first name and the rest go too: address, phone, log-in records.
    let records = format!("/v1/log-in-records?member_id={id}");
    let seen = tenant.owner.get(&records).await.ok();
    assert!(!seen["records"].as_array().expect("records").is_empty());
    let erased = erase(json!({"mode": "all", "confirmation": id})).await.ok();
    assert!(erased["erased_at"].is_string() && nothing_found(&erased), "{erased}");
    assert_eq!(tenant.owner.get(&format!("{path}/erasure")).await.ok(), erased);
    let left = tenant.owner.get(&path).await.ok();
    assert_eq!((&left["name"], &left["email"], &left["phone"]), (&json!(""), &json!(""), &json!(null)));
    let seen = tenant.owner.get(&records).await.ok();
    assert_eq!(seen["records"], json!([]));
    assert_eq!(tenant.owner.get(&messages).await.ok(), said, "the conversations stay");
    let events = tenant.owner.get(&format!("/v1/audit-events?action=EraseMember&target_id={id}")).await.ok();
    assert_eq!(events["events"][0]["detail"], json!("all"), "{events}");
}
