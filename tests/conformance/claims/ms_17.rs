//! ms-17: spam detection, visitor bans. A mark takes a conversation out of sight and deletes nothing; a ban refuses what a
//! contact says, and outlives it by its address.

use lethe_tests::{Talk, erase, platform};
use serde_json::json;

pub(in super::super) async fn ms_17_spam_is_detected_and_visitors_are_banned() {
    let tenant = platform().tenant().await;
    let owner = &tenant.owner;
    let talk = Talk::begin(owner, "live_chat").await;
    let path = format!("/v1/conversations/{}", talk.conversation);
    let spam = format!("{path}/spam");
    let word = format!("zq{}", platform().nonce());
    let last = talk.receive(&format!("Win {word} now")).await.ok();
    let listed = async |query: &str| {
        let list = owner.get(&format!("/v1/conversations{query}")).await.ok();
        list["conversations"].as_array().expect("a list").len()
    };
    let found = async |include: bool| {
        let wait = json!({"contact_id": talk.contact, "seq": last["seq"]});
        let search = json!({"query": word, "wait_for": wait, "include_spam": include});
        let found = owner.post("/v1/search/messages", search).await.ok();
        found["hits"].as_array().expect("hits").len()
    };

    // By hand: out of the inbox and of search, unless they are asked for it; and back.
    assert_eq!((listed("").await, listed("?spam=true").await, found(false).await), (1, 0, 1));
    assert_eq!(owner.put(&spam, json!({})).await.ok()["spam"], json!(true));
    assert_eq!((listed("").await, listed("?spam=true").await), (0, 1));
    assert_eq!((found(false).await, found(true).await), (0, 1));
    assert_eq!(owner.get(&path).await.ok()["spam"], json!(true), "marked, not deleted");
    assert_eq!(owner.delete(&spam).await.ok()["spam"], json!(false));
    assert_eq!((listed("").await, found(false).await), (1, 1));

    // The detector marks nothing until it is switched on; then it does, but not against a member's word.
    let links = "https://a.example https://b.example https://c.example https://d.example https://e.example";
    let other = talk.on("live_chat").await;
    let is_spam = async |talk: &Talk| {
        owner.get(&format!("/v1/conversations/{}", talk.conversation)).await.ok()["spam"] == json!(true)
    };
    other.receive(links).await.ok();
    assert!(!is_spam(&other).await);
    let settings = owner.get("/v1/spam-settings").await;
    assert_eq!(settings.body["detect"], json!(false));
    let etag = settings.headers["etag"].to_str().expect("a tag").to_owned();
    assert_eq!(
        owner.patch("/v1/spam-settings", &etag, json!({"detect": true})).await.ok()["detect"],
        json!(true)
    );
    other.receive("Where is my parcel?").await.ok();
    assert!(!is_spam(&other).await);
    other.receive(links).await.ok();
    talk.receive(links).await.ok();
    assert!(is_spam(&other).await && !is_spam(&talk).await);
    let patient = Talk::begin(owner, "live_chat").await;
    for _ in 0..3 {
        assert!(!is_spam(&patient).await);
        patient.receive("Buy now").await.ok();
    }
    assert!(is_spam(&patient).await, "the third time of the same text");

    // A ban: what is said is refused, whatever it says; what is stored stays.
    let contact = format!("/v1/contacts/{}", talk.contact);
    let ban = format!("{contact}/ban");
    assert_eq!(owner.put(&ban, json!({})).await.ok()["banned"], json!(true));
    for _ in 0..2 {
        assert_eq!(talk.receive("Hello?").await.problem(), (409, "CONTACT_BANNED"));
        assert_eq!(other.receive("Hello?").await.problem(), (409, "CONTACT_BANNED"));
    }
    // But for STOP: nobody is kept from opting out.
    assert_eq!(talk.receive("STOP").await.problem(), (409, "CONTACT_BANNED"));
    assert_eq!(owner.get(&contact).await.ok()["opted_out"], json!(true));

    // Lifted and set again; and whoever comes with the address begins banned, even when the contact was erased.
    owner.delete(&ban).await.ok();
    talk.receive("Hello again").await.ok();
    owner.put(&ban, json!({})).await.ok();
    erase(owner, &talk.contact).await;
    let back = owner.create("/v1/contacts", &platform().nonce(), json!({"email": talk.email})).await.ok();
    assert_eq!((&back["banned"], &back["opted_out"]), (&json!(true), &json!(true)));
    let free = json!({"email": format!("{}@example.org", platform().nonce())});
    let free = owner.create("/v1/contacts", &platform().nonce(), free).await.ok();
    assert_eq!(free["banned"], json!(false));
}
