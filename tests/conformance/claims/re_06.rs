//! re-06: erase a contact: 'contact only' or 'all data, with messages', confirmed explicitly; one chat; all e-mail;
//! optionally onto the opt-out list. And what a legal hold covers is queued, and goes when it is released.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use lethe_tests::{Api, Talk, confirmed, erase_as, platform, within};
use serde_json::{Value, json};

pub(in super::super) async fn re_06_each_mode_of_erasure_ends_certified_and_a_hold_queues_what_it_holds() {
    let tenant = platform().tenant().await;
    let api = &tenant.owner;
    one_chat(api).await;
    contact_only(api).await;
    all_email(api).await;
    held_contact(api).await;
    held_conversation(api).await;
}

/// The texts of a conversation, or the refusal.
async fn texts(api: &Api, talk: &Talk) -> Result<Vec<String>, (u16, String)> {
    let answer = api.get(&format!("/v1/conversations/{}/messages", talk.conversation)).await;
    if answer.status != 200 {
        let (status, code) = answer.problem();
        return Err((status, code.to_owned()));
    }
    let listed = answer.body["messages"].as_array().expect("messages").clone();
    Ok(listed.iter().map(|message| message["text"].as_str().expect("a text").to_owned()).collect())
}

fn gone() -> Result<Vec<String>, (u16, String)> {
    Err((404, "CONVERSATION_NOT_FOUND".to_owned()))
}

/// What the newest certificate of an erasure says.
async fn statement(api: &Api, path: &str) -> Value {
    let envelope = api.get(&format!("{path}/certificate")).await.ok();
    let payload = STANDARD.decode(envelope["payload"].as_str().expect("a payload")).expect("base64");
    serde_json::from_slice(&payload).expect("JSON")
}

fn held(statement: &Value) -> u64 {
    let participants = statement["participants"].as_array().expect("participants");
    let lines = participants.iter().flat_map(|participant| participant["lines"].as_array().expect("lines"));
    lines.filter(|line| line["attestation"] == "held").map(|line| line["found"].as_u64().unwrap_or(0)).sum()
}

/// The messages that a search for a word finds.
async fn hits(api: &Api, word: &str) -> Vec<Value> {
    let found = api.post("/v1/search/messages", json!({"query": word})).await.ok();
    found["hits"].as_array().expect("hits").clone()
}

async fn is_found(api: &Api, word: &str) {
    within(Duration::from_secs(20), "it is found", async || !hits(api, word).await.is_empty()).await;
}

async fn one_chat(api: &Api) {
    let word = platform().nonce();
    let chat = Talk::begin(api, "live_chat").await;
    let other = chat.on("live_chat").await;
    chat.receive(&word).await.ok();
    other.receive("stays").await.ok();
    is_found(api, &word).await;
    let body =
        json!({"contact_id": chat.contact, "mode": "conversation", "conversation_id": chat.conversation});
    // Nothing goes without a confirmation of what was counted.
    let requested = api.create("/v1/erasures", &platform().nonce(), body.clone()).await.ok();
    let counted = requested["erasure"]["tallies"].as_array().expect("counts").clone();
    assert!(counted.contains(&json!({"store": "postgres", "kind": "messages", "count": 1})), "{counted:?}");
    assert_eq!(texts(api, &chat).await.expect("still there"), std::slice::from_ref(&word));
    let path = format!("/v1/erasures/{}", requested["erasure"]["erasure_id"].as_str().expect("an id"));
    api.post(&format!("{path}/cancel"), json!({})).await.ok();

    let path = erase_as(api, &platform().nonce(), body.clone()).await;
    assert_eq!(texts(api, &chat).await, gone());
    assert_eq!(texts(api, &other).await.expect("the rest stays"), ["stays"]);
    assert_eq!(chat.receive("late").await.problem().0, 404);
    other.send("goes on").await.ok();
    assert!(hits(api, &word).await.is_empty());
    let contact = api.get(&format!("/v1/contacts/{}", chat.contact)).await.ok();
    assert_eq!(contact["email"], json!(chat.email));
    let statement = statement(api, &path).await;
    assert_eq!(statement["mode"], "conversation");
    let names: Vec<&str> = statement["participants"]
        .as_array()
        .expect("participants")
        .iter()
        .map(|participant| participant["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["messaging", "search", "identity", "retention"]);
    let again = api.create("/v1/erasures", &platform().nonce(), body).await;
    assert_eq!(again.problem(), (404, "CONVERSATION_NOT_FOUND"));
}

async fn contact_only(api: &Api) {
    let word = platform().nonce();
    let talk = Talk::begin(api, "sms").await;
    talk.receive(&word).await.ok();
    talk.send("An answer").await.ok();
    is_found(api, &word).await;
    let body = json!({"contact_id": talk.contact, "mode": "contact_only"});
    let path = erase_as(api, &platform().nonce(), body).await;
    assert_eq!(statement(api, &path).await["mode"], "contact_only");
    assert_eq!(texts(api, &talk).await.expect("the messages stay"), [word.clone(), "An answer".to_owned()]);
    assert_eq!(api.get(&format!("/v1/contacts/{}", talk.contact)).await.problem().0, 404);
    let look_up = json!({"email": talk.email});
    let found = api.post("/v1/contacts/look-up", look_up).await.ok();
    assert_eq!(found["contacts"], json!([]));
    // Found again, under somebody who has no name.
    is_found(api, &word).await;
    let conversation = api.get(&format!("/v1/conversations/{}", talk.conversation)).await.ok();
    let heir = conversation["contact_id"].as_str().expect("an id");
    assert_ne!(heir, talk.contact);
    let nobody = api.get(&format!("/v1/contacts/{heir}")).await.ok();
    assert_eq!((&nobody["name"], &nobody["email"]), (&Value::Null, &Value::Null), "{nobody}");
}

async fn all_email(api: &Api) {
    let mail = Talk::begin(api, "email").await;
    let (again, chat) = (mail.on("email").await, mail.on("whatsapp").await);
    for talk in [&mail, &again, &chat] {
        talk.receive("hello").await.ok();
    }
    let body = json!({"contact_id": mail.contact, "mode": "email"});
    let path = erase_as(api, &platform().nonce(), body.clone()).await;
    assert_eq!(statement(api, &path).await["mode"], "email");
    assert_eq!(texts(api, &mail).await, gone());
    assert_eq!(texts(api, &again).await, gone());
    assert_eq!(texts(api, &chat).await.expect("it stays"), ["hello"]);
    // New mail may come, and go again.
    let new = mail.on("email").await;
    new.receive("new").await.ok();
    erase_as(api, &platform().nonce(), body).await;
    assert_eq!(texts(api, &new).await, gone());
}

/// Places a hold and answers its path.
async fn hold(api: &Api, what: Value) -> String {
    let mut body =
        json!({"reason": "litigation", "case_reference": "2-O-17/26", "ends_at": "2199-01-01T00:00:00Z"});
    body.as_object_mut().expect("an object").extend(what.as_object().expect("an object").clone());
    let placed = api.create("/v1/holds", &platform().nonce(), body).await.ok();
    assert_eq!(placed["state"], "active");
    format!("/v1/holds/{}", placed["hold_id"].as_str().expect("an id"))
}

async fn held_contact(api: &Api) {
    let talk = Talk::begin(api, "live_chat").await;
    let message = talk.receive("evidence").await.ok()["message_id"].as_str().expect("an id").to_owned();
    let hold = hold(api, json!({"contact_id": talk.contact})).await;
    assert_eq!(api.delete(&format!("/v1/messages/{message}")).await.problem().1, "LEGAL_HOLD_ACTIVE");
    let path = confirmed(api, &platform().nonce(), json!({"contact_id": talk.contact})).await;
    within(Duration::from_secs(20), "it waits for the hold", async || {
        let participants = api.get(&path).await.ok()["participants"].clone();
        participants.as_array().expect("some").iter().any(|one| one["waits_for"] == "LEGAL_HOLD")
    })
    .await;
    assert_eq!(texts(api, &talk).await.expect("nothing is fenced"), ["evidence"]);
    assert_eq!(api.post(&format!("{hold}/release"), json!({})).await.ok()["state"], "released");
    within(Duration::from_secs(60), "release completes it", async || {
        api.get(&path).await.ok()["state"] == json!("certified")
    })
    .await;
    assert_eq!(texts(api, &talk).await, gone());
}

async fn held_conversation(api: &Api) {
    let kept = Talk::begin(api, "live_chat").await;
    let other = kept.on("sms").await;
    kept.receive("evidence").await.ok();
    other.receive("goes").await.ok();
    let hold = hold(api, json!({"conversation_id": kept.conversation})).await;
    let path = erase_as(api, &platform().nonce(), json!({"contact_id": kept.contact})).await;
    // Certified with what is held, which nobody reads.
    assert!(held(&statement(api, &path).await) > 0);
    assert_eq!(texts(api, &kept).await, gone());
    let listed = api.get("/v1/holds").await.ok();
    assert_eq!(listed["holds"][0]["conversation_id"], json!(kept.conversation));
    api.post(&format!("{hold}/release"), json!({})).await.ok();
    // It is purged and re-read at once; the second certificate comes when all have read their stores again.
    within(Duration::from_secs(60), "the held part is gone", async || {
        let messaging = api.get(&path).await.ok()["participants"][0].clone();
        messaging["purged"] == json!(true)
            && messaging["verified"] == json!(true)
            && messaging["waits_for"] == Value::Null
    })
    .await;
    let listed = api.get("/v1/holds").await.ok();
    assert_eq!(listed["holds"][0]["conversation_id"], Value::Null, "what it held is not named any more");
}
