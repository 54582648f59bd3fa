//! ms-15: satisfaction: 1 to 5 stars and a text after a conversation is resolved; one for each resolution, and gone with the
//! contact.

use lethe_tests::{Talk, erase, platform};
use serde_json::{Value, json};

pub(in super::super) async fn ms_15_a_resolved_conversation_is_rated_with_stars_and_a_text() {
    let tenant = platform().tenant().await;
    let owner = &tenant.owner;
    let talk = Talk::begin(owner, "live_chat").await;
    let path = format!("/v1/conversations/{}", talk.conversation);
    let ratings = format!("{path}/ratings");
    let rate = async |stars: u32, comment: Option<&str>| {
        owner.create(&ratings, &platform().nonce(), json!({"stars": stars, "comment": comment})).await
    };
    let turn = async |status: &str| {
        let etag = owner.get(&path).await.headers["etag"].to_str().expect("a tag").to_owned();
        owner.patch(&path, &etag, json!({"status": status})).await.ok();
    };

    talk.receive("Where is my parcel?").await.ok();
    assert_eq!(rate(5, None).await.problem(), (409, "CONVERSATION_NOT_RESOLVED"));
    turn("resolved").await;
    for stars in [0, 6] {
        let refused = rate(stars, None).await;
        assert_eq!((refused.problem().0, refused.body["field"].as_str()), (422, Some("stars")));
    }
    let first = rate(5, Some("Quick and kind.")).await.ok();
    assert_eq!((&first["stars"], &first["comment"]), (&json!(5), &json!("Quick and kind.")));
    assert_eq!(rate(1, None).await.problem(), (409, "ALREADY_RATED"));

    // Opened again and resolved again, it can be rated again; never while the contact is restricted.
    turn("open").await;
    turn("resolved").await;
    let restriction = format!("/v1/contacts/{}/restriction", talk.contact);
    owner.put(&restriction, json!({"ground": "accuracy"})).await.ok();
    assert_eq!(rate(2, None).await.problem(), (409, "CONTACT_RESTRICTED"));
    let year: u16 = first["created_at"].as_str().and_then(|at| at[..4].parse().ok()).expect("a year");
    let window = format!("/v1/satisfaction?from={year}-01-01T00:00:00Z&until={}-01-01T00:00:00Z", year + 1);
    let numbers = async || owner.get(&window).await.ok();
    let none = json!({"ratings": 0, "average": null, "stars": [0, 0, 0, 0, 0]});
    assert_eq!(numbers().await, none, "a restricted contact's rating is kept, not used");
    owner.delete(&restriction).await.ok();
    let second = rate(2, None).await.ok();
    assert_eq!((&second["resolution"], &second["comment"]), (&json!(2), &Value::Null));

    let listed = owner.get(&ratings).await.ok();
    assert_eq!(listed["ratings"], json!([second, first]));
    assert_eq!(numbers().await, json!({"ratings": 2, "average": 3.5, "stars": [0, 1, 0, 0, 1]}));
    let earlier = "/v1/satisfaction?from=2020-01-01T00:00:00Z&until=2020-12-31T00:00:00Z";
    assert_eq!(owner.get(earlier).await.ok(), none);
    let odd = "/v1/satisfaction?from=2026-01-01T00:00:00Z&until=2025-01-01T00:00:00Z";
    assert_eq!(owner.get(odd).await.body["field"], json!("until"));

    erase(owner, &talk.contact).await;
    assert_eq!(owner.get(&ratings).await.problem(), (404, "CONVERSATION_NOT_FOUND"));
    assert_eq!(numbers().await, none, "the ratings went with the contact");
}
