//! People with a canary in every field: unique words in several scripts, so that whatever is left of them is recognised.

use std::time::Duration;

use lethe::demo::subjects;
use lethe_ids::SubjectId;
use lethe_tests::{Api, Platform, Tenant, within};
use reqwest::Method;
use serde_json::json;

/// Words that nobody else has, by what they are.
pub(super) type Tokens = Vec<(&'static str, String)>;

/// Letters of a script, one for each hex digit.
const SCRIPTS: [(&str, &str); 6] = [
    ("Latin", "abcdefghijklmnop"),
    ("Cyrillic", "абвгдежзиклмнопр"),
    ("Greek", "αβγδεζηθικλμνξοπ"),
    ("Arabic", "ابتثجحخدذرزسشصضط"),
    ("Hebrew", "אבגדהוזחטיכלמנסע"),
    ("Han", "天地玄黄宇宙洪荒日月盈昃辰宿列张"),
];

/// A word of `script` that nobody else has.
pub(super) fn canary(platform: &Platform, letters: &str) -> String {
    let letters: Vec<char> = letters.chars().collect();
    let nonce = platform.nonce();
    nonce.chars().map(|digit| letters[digit.to_digit(16).expect("hex") as usize]).collect()
}

/// A conversation, and the words in it.
pub(super) struct Thread {
    pub(super) conversation: String,
    pub(super) tokens: Tokens,
}

/// A contact with a canary in every field, and a message in every script.
pub(super) struct Person {
    pub(super) contact: String,
    pub(super) profile: Tokens,
    /// By e-mail: what was said, and how it was rated.
    pub(super) mail: Thread,
    /// By e-mail too, and imported.
    pub(super) imported: Thread,
    /// A client's own keys, and what was refused: kept in the clear nowhere, whoever is there.
    pub(super) rows: Tokens,
    pub(super) subjects: Vec<SubjectId>,
}

impl Person {
    pub(super) fn tokens(&self) -> Tokens {
        [&self.profile, &self.mail.tokens, &self.imported.tokens, &self.rows]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }
}

/// A webhook that nobody answers: its deliveries are about people.
pub(super) async fn listen(platform: &Platform, tenant: &Tenant) -> Tokens {
    let (hook, description) = (canary(platform, SCRIPTS[0].1), canary(platform, SCRIPTS[2].1));
    let hooks = json!({
        "url": format!("http://127.0.0.2:9/{hook}"), "description": description,
        "event_types": ["contact.changed", "conversation.changed", "message.changed"],
    });
    tenant.owner.create("/v1/webhook-endpoints", &platform.nonce(), hooks).await.ok();
    vec![("webhook's URL", hook), ("webhook's description", description)]
}

/// Opens a conversation of `contact`.
pub(super) async fn open(platform: &Platform, api: &Api, contact: &str, channel: &str) -> String {
    let opened = json!({"contact_id": contact, "channel": channel});
    let conversation = api.create("/v1/conversations", &platform.nonce(), opened).await.ok();
    conversation["conversation_id"].as_str().expect("an id").to_owned()
}

/// Says a word of each script in a conversation, in both directions, and waits until the last is found.
pub(super) async fn talk(platform: &Platform, api: &Api, contact: &str, conversation: &str) -> Tokens {
    let (mut tokens, mut last) = (Tokens::new(), json!(null));
    for (script, letters) in SCRIPTS {
        let word = canary(platform, letters);
        for folder in ["messages", "inbound-messages"] {
            let path = format!("/v1/conversations/{conversation}/{folder}");
            last = api.create(&path, &platform.nonce(), json!({"text": format!("… {word} …")})).await.ok();
        }
        tokens.push((script, word));
    }
    let word = &tokens.last().expect("tokens").1;
    let search = json!({"query": word, "wait_for": {"contact_id": contact, "seq": last["seq"]}});
    within(Duration::from_secs(10), "the last message is found", async || {
        let found = api.post("/v1/search/messages", search.clone()).await.ok();
        found["hits"].as_array().is_some_and(|hits| hits.len() == 2)
    })
    .await;
    tokens
}

pub(super) async fn write(platform: &Platform, tenant: &Tenant) -> Person {
    let latin = || canary(platform, SCRIPTS[0].1);
    let (name, company, address) = (canary(platform, SCRIPTS[1].1), canary(platform, SCRIPTS[3].1), latin());
    let (stage, picture) = (latin(), latin());
    let (tag, field, email) = (latin(), canary(platform, SCRIPTS[5].1), format!("{}@example.org", latin()));
    let digits = u64::from_str_radix(&platform.nonce()[..7], 16).expect("hex") % 100_000_000;
    let phone = format!("+4930{digits:08}");
    let (other_phone, other_email) = (format!("+4940{digits:08}"), format!("{}@example.org", latin()));
    let profile = json!({
        "name": name, "phone": phone, "email": email, "company": company, "address": address,
        "tags": [tag], "custom_fields": {"card": field}, "lifecycle_stage": stage, "lead_score": 71,
        "other_phones": [other_phone], "other_emails": [other_email],
    });
    let contact = tenant.owner.create("/v1/contacts", &platform.nonce(), profile).await.ok();
    let contact = contact["contact_id"].as_str().expect("an id").to_owned();
    let bytes = [&b"\x89PNG\r\n\x1a\n"[..], picture.as_bytes()].concat();
    let at = format!("/v1/contacts/{contact}/picture");
    tenant.owner.put_bytes(&at, "image/png", &bytes).await.ok();
    let consent = json!({"act": "given", "purpose": "marketing", "source": "widget"});
    let consents = format!("/v1/contacts/{contact}/consents");
    tenant.owner.create(&consents, &platform.nonce(), consent).await.ok();
    let conversation = open(platform, &tenant.owner, &contact, "email").await;
    let profile = vec![
        ("name", name),
        ("phone", phone),
        ("e-mail address", email),
        ("other phone", other_phone),
        ("other e-mail address", other_email),
        ("company", company),
        ("address", address),
        ("tag", tag),
        ("custom field", field),
        ("lifecycle stage", stage),
        ("picture", picture),
    ];
    // A row of an import: its keys are the client's words, and one that is refused is not kept.
    let (key, said, refused) = (latin(), latin(), latin());
    let import = tenant.owner.create("/v1/imports", &platform.nonce(), json!({})).await.ok();
    let rows = [
        json!({"conversation": {"key": key, "contact_id": contact, "channel": "email", "messages": [
            {"key": key, "direction": "inbound", "text": said, "sent_at": "2020-01-01T00:00:00Z"}]}}),
        json!({"conversation": {"key": refused, "contact_key": refused, "channel": "email", "messages": [
            {"key": refused, "direction": "inbound", "text": refused, "sent_at": "2020-01-01T00:00:00Z"}]}}),
        json!({"contact": {"key": refused, "profile": {"name": refused, "custom_fields": {&refused: 7}}}}),
        json!({&refused: refused}),
    ];
    let rows: Vec<String> = rows.iter().map(ToString::to_string).collect();
    let chunk = format!("/v1/imports/{}/chunks/1", import["import_id"].as_str().expect("an id"));
    let taken = tenant.owner.put_bytes(&chunk, "application/jsonl", rows.join("\n").as_bytes()).await.ok();
    assert_eq!((&taken["imported"], &taken["refused"]), (&json!(1), &json!(3)), "{taken}");
    let listed = tenant.owner.get(&format!("/v1/conversations?contact_id={contact}")).await.ok();
    let ids = listed["conversations"].as_array().expect("conversations").iter();
    let mut ids = ids.map(|one| one["conversation_id"].as_str().expect("an id"));
    let imported = ids.find(|id| *id != conversation).expect("the imported one").to_owned();
    let comment = latin();
    let at = format!("/v1/conversations/{conversation}");
    tenant.owner.patch(&at, "\"1\"", json!({"status": "resolved"})).await.ok();
    let rating = json!({"stars": 2, "comment": comment});
    tenant.owner.create(&format!("{at}/ratings"), &platform.nonce(), rating).await.ok();
    let mut said_by_mail = talk(platform, &tenant.owner, &contact, &conversation).await;
    said_by_mail.push(("rating", comment));
    let subjects = subjects(&platform.run, &contact).await.expect("the contact has subjects");
    Person {
        contact,
        profile,
        mail: Thread { conversation, tokens: said_by_mail },
        imported: Thread { conversation: imported, tokens: vec![("imported message", said)] },
        rows: vec![("row's key", key), ("refused row", refused)],
        subjects,
    }
}

/// Python's bcrypt made it of "correct horse".
const BCRYPT: &str = "$2b$05$Flnd.Cd3p1/tXdF28SzYjuts0hz5X/kMKIWXuyn6AYRvJih45H7HS";

/// A member with a canary in name, address, phone, photo, and what he asks about his data and is told: the id, and who he is.
pub(super) async fn write_member(platform: &Platform, tenant: &Tenant) -> (String, Tokens) {
    let (name, mail, photo) =
        (canary(platform, SCRIPTS[1].1), canary(platform, SCRIPTS[0].1), canary(platform, SCRIPTS[0].1));
    let digits = u64::from_str_radix(&platform.nonce()[..7], 16).expect("hex") % 100_000_000;
    let (email, phone) = (format!("{mail}@example.org"), format!("+4930{digits:08}"));
    let new = json!({"name": name, "email": email, "phone": phone, "bcrypt_hash": BCRYPT});
    let made = tenant.owner.create("/v1/members", &platform.nonce(), new).await.ok();
    let member = made["member"]["member_id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/members/{member}/photo");
    let png = [b"\x89PNG\r\n\x1a\n", photo.as_bytes()].concat();
    let (status, ..) =
        tenant.owner.exchange(Method::PUT, &path, &[("content-type", "image/png")], Some(png)).await;
    assert_eq!(status, 204);
    // A log-in that fails leaves a record of where it came from.
    let wrong = json!({"tenant": tenant.slug, "email": email, "password": "a wrong password"});
    assert_eq!(Api::anonymous(&platform.run.url).post("/v1/sessions", wrong).await.problem().0, 401);
    let (grounds, answer) = (canary(platform, SCRIPTS[2].1), canary(platform, SCRIPTS[0].1));
    let api = Api::log_in(&platform.run.url, &tenant.slug, &email, "correct horse").await;
    let objection = json!({"kind": "objection", "grounds": grounds});
    let asked = api.create("/v1/self/requests", &platform.nonce(), objection).await.ok();
    let close = format!("/v1/member-requests/{}/close", asked["member_request_id"].as_str().expect("an id"));
    let refused = json!({"state": "refused", "refusal": "no_ground", "answer": answer});
    tenant.owner.post(&close, refused).await.ok();
    let tokens = [
        ("name", name),
        ("e-mail address", email),
        ("phone", phone),
        ("photo", photo),
        ("request's grounds", grounds),
        ("request's answer", answer),
    ];
    (member, tokens.into())
}
