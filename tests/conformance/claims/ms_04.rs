//! ms-04, the part of it that is there: a contact that turns out to be another one is merged into it, is one person from then
//! on, and is erased as one. There are no visitors, no identify call with a user id of the tenant's own and no custom events
//! yet: so this is a test of ours and not of the system's that claims the row, which therefore counts as shown in part.

use std::time::Duration;

use lethe_retention::certificate::{Attestation, verify};
use lethe_tests::{Api, Talk, erase, platform, within};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);

/// How many messages a search for a word finds, of one contact.
async fn hits(api: &Api, word: &str, contact: &str) -> usize {
    let found = api.post("/v1/search/messages", json!({"query": word, "contact_id": contact})).await.ok();
    found["hits"].as_array().expect("hits").len()
}

async fn merge(api: &Api, survivor: &str, merged: &str) -> (u16, Value) {
    let path = format!("/v1/contacts/{survivor}/merge");
    let answer = api.post(&path, json!({"merged_contact_id": merged})).await;
    (answer.status.as_u16(), answer.body)
}

pub(in super::super) async fn ms_04_a_contact_merged_into_another_is_one_person_and_erased_as_one() {
    let tenant = platform().tenant().await;
    let api = &tenant.owner;
    let (known, visitor) = (Talk::begin(api, "email").await, Talk::begin(api, "live_chat").await);
    let words = [platform().nonce(), platform().nonce()];
    known.receive(&words[0]).await.ok();
    visitor.receive(&words[1]).await.ok();
    within(LIMIT, "both are found", async || {
        hits(api, &words[0], &known.contact).await == 1 && hits(api, &words[1], &visitor.contact).await == 1
    })
    .await;
    let theirs = format!("/v1/contacts/{}", visitor.contact);
    let consent = json!({"act": "withdrawn", "purpose": "marketing", "source": "widget"});
    api.create(&format!("{theirs}/consents"), &platform().nonce(), consent).await.ok();
    let etag = api.get(&theirs).await.headers["etag"].to_str().expect("a tag").to_owned();
    api.patch(&theirs, &etag, json!({"company": "Navy", "custom_fields": {"plan": "pro"}})).await.ok();
    visitor.receive("STOP").await.ok();

    // One person: what the two had, under one id, to which the other leads.
    let (status, one) = merge(api, &known.contact, &visitor.contact).await;
    assert_eq!(status, 200, "{one}");
    assert_eq!((&one["contact_id"], &one["email"]), (&json!(known.contact), &json!(known.email)));
    assert_eq!((&one["other_emails"], &one["company"]), (&json!([visitor.email]), &json!("Navy")));
    assert_eq!((&one["custom_fields"], &one["opted_out"]), (&json!({"plan": "pro"}), &json!(true)));
    assert_eq!(api.get(&theirs).await.ok(), one);
    assert_eq!(merge(api, &known.contact, &visitor.contact).await, (200, one.clone()), "twice is as once");
    let (status, crossing) = merge(api, &visitor.contact, &known.contact).await;
    assert_eq!((status, &crossing["code"]), (409, &json!("CONTACT_MERGED")));
    let consents = api.get(&format!("/v1/contacts/{}/consents", known.contact)).await.ok();
    assert_eq!(consents["consents"][0]["act"], json!("withdrawn"));
    for email in [&known.email, &visitor.email] {
        let found = api.post("/v1/contacts/look-up", json!({"email": email})).await.ok();
        assert_eq!(found["contacts"][0]["contact_id"], json!(known.contact));
    }
    // Whoever of them said STOP, nothing is sent to either; what they write comes in where it did.
    for talk in [&known, &visitor] {
        assert_eq!(talk.send("hello").await.problem(), (409, "CONTACT_OPTED_OUT"));
        assert_eq!(talk.receive("goes on").await.ok()["contact_id"], json!(known.contact));
    }
    within(LIMIT, "the messages of both are found as the one's", async || {
        hits(api, &words[0], &known.contact).await == 1
            && hits(api, &words[1], &known.contact).await == 1
            && hits(api, &words[1], &visitor.contact).await == 0
            && hits(api, "goes on", &known.contact).await == 2
            && hits(api, "stop", &known.contact).await == 1
    })
    .await;

    // Erased as one, here by the id that it no longer has, and the certificate proves it for every subject.
    let path = erase(api, &visitor.contact).await;
    let envelope = api.get(&format!("{path}/certificate")).await.ok().to_string();
    let keys = api.get("/.well-known/lethe-keys.json").await.ok().to_string();
    let statement = verify(envelope.as_bytes(), keys.as_bytes()).expect("the certificate holds");
    let lines: Vec<_> = statement.participants.iter().flat_map(|one| &one.lines).collect();
    assert!(lines.iter().all(|line| line.attestation != Attestation::ReRead || line.found == 0));
    let looked_for = |code: &str, kind: &str| {
        lines.iter().find(|line| line.code == code && line.kind == kind).map(|line| line.looked_for)
    };
    // Two persons' subjects, profiles and months.
    assert_eq!(looked_for("SECRETS_DESTROYED", "secrets"), Some(6));
    assert_eq!(looked_for("ROWS_ABSENT", "messages"), Some(5));
    assert_eq!(looked_for("ROWS_ABSENT", "merged_contacts"), Some(1));
    // Both ids, and the documents that the news of the fence had not taken before.
    assert!(looked_for("TERMS_ABSENT", "documents") >= Some(2));
    for (talk, word) in [(&known, &words[0]), (&visitor, &words[1])] {
        let gone = api.get(&format!("/v1/contacts/{}", talk.contact)).await;
        assert_eq!(gone.problem(), (404, "CONTACT_NOT_FOUND"));
        assert_eq!(talk.receive("late").await.problem(), (404, "CONVERSATION_NOT_FOUND"));
        assert_eq!(hits(api, word, &known.contact).await, 0);
        let found = api.post("/v1/contacts/look-up", json!({"email": talk.email})).await.ok();
        assert_eq!(found["contacts"], json!([]));
        let again = json!({"contact_id": talk.contact});
        let again = api.create("/v1/erasures", &platform().nonce(), again).await;
        assert_eq!(again.problem(), (404, "CONTACT_NOT_FOUND"));
    }
}
