//! Canaries and harvest: unique tokens in every field a contact can have, in several scripts, looked for in every store's
//! files and by every store's own reader. Before the erasure they stand in the search index and nowhere else, and what
//! was sealed opens; after it they stand nowhere, and nothing opens but what is dated. Each finding is first proven on
//! something planted.

use std::{fs, time::Duration};

use lethe::demo::{Leftovers, search_leftovers, subjects};
use lethe_ids::{MemberId, SubjectId};
use lethe_tests::{Platform, Tenant, alone, erase, platform, within};
use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, PgConnection};

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
fn canary(platform: &Platform, letters: &str) -> String {
    let letters: Vec<char> = letters.chars().collect();
    let nonce = platform.nonce();
    nonce.chars().map(|digit| letters[digit.to_digit(16).expect("hex") as usize]).collect()
}

/// A contact with a canary in every field, and a message in every script.
struct Person {
    contact: String,
    tokens: Vec<(&'static str, String)>,
    subjects: Vec<SubjectId>,
}

async fn write(platform: &Platform, tenant: &Tenant) -> Person {
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
    // A webhook that nobody answers: its deliveries are about the person.
    let (hook, description) = (latin(), canary(platform, SCRIPTS[2].1));
    let hooks = json!({
        "url": format!("http://127.0.0.2:9/{hook}"), "description": description,
        "event_types": ["contact.changed", "conversation.changed", "message.changed"],
    });
    tenant.owner.create("/v1/webhook-endpoints", &platform.nonce(), hooks).await.ok();
    let consent = json!({"act": "given", "purpose": "marketing", "source": "widget"});
    let consents = format!("/v1/contacts/{contact}/consents");
    tenant.owner.create(&consents, &platform.nonce(), consent).await.ok();
    let opened = json!({"contact_id": contact, "channel": "email"});
    let conversation = tenant.owner.create("/v1/conversations", &platform.nonce(), opened).await.ok();
    let conversation = conversation["conversation_id"].as_str().expect("an id").to_owned();
    let mut tokens = vec![
        ("name", name),
        ("phone", phone),
        ("e-mail address", email),
        ("other phone", other_phone),
        ("other e-mail address", other_email),
        ("company", company),
        ("address", address),
        ("tag", tag),
        ("custom field", field),
        ("webhook's URL", hook),
        ("webhook's description", description),
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
    tokens.extend([("row's key", key), ("imported message", said), ("refused row", refused)]);
    let comment = latin();
    let at = format!("/v1/conversations/{conversation}");
    tenant.owner.patch(&at, "\"1\"", json!({"status": "resolved"})).await.ok();
    let rating = json!({"stars": 2, "comment": comment});
    tenant.owner.create(&format!("{at}/ratings"), &platform.nonce(), rating).await.ok();
    tokens.push(("rating", comment));
    let mut last = json!(null);
    for (script, letters) in SCRIPTS {
        let word = canary(platform, letters);
        for folder in ["messages", "inbound-messages"] {
            let path = format!("/v1/conversations/{conversation}/{folder}");
            last = tenant
                .owner
                .create(&path, &platform.nonce(), json!({"text": format!("… {word} …")}))
                .await
                .ok();
        }
        tokens.push((script, word));
    }
    let word = &tokens.last().expect("tokens").1;
    let search = json!({"query": word, "wait_for": {"contact_id": contact, "seq": last["seq"]}});
    within(Duration::from_secs(10), "the last message is found", async || {
        let found = tenant.owner.post("/v1/search/messages", search.clone()).await.ok();
        found["hits"].as_array().is_some_and(|hits| hits.len() == 2)
    })
    .await;
    let subjects = subjects(&platform.run, &contact).await.expect("the contact has subjects");
    Person { contact, tokens, subjects }
}

/// Python's bcrypt made it of "correct horse".
const BCRYPT: &str = "$2b$05$Flnd.Cd3p1/tXdF28SzYjuts0hz5X/kMKIWXuyn6AYRvJih45H7HS";

/// A member with a canary in name, address, phone, photo, and what he asks about his data and is told: the id, and who he is.
async fn write_member(platform: &Platform, tenant: &Tenant) -> (String, Vec<(&'static str, String)>) {
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
    assert_eq!(
        lethe_tests::Api::anonymous(&platform.run.url).post("/v1/sessions", wrong).await.problem().0,
        401
    );
    let (grounds, answer) = (canary(platform, SCRIPTS[2].1), canary(platform, SCRIPTS[0].1));
    let api = lethe_tests::Api::log_in(&platform.run.url, &tenant.slug, &email, "correct horse").await;
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

async fn look(platform: &Platform, person: &Person) -> Leftovers {
    let looked =
        search_leftovers(&platform.folder, &platform.run, &person.tokens, &person.subjects, |_| {}).await;
    looked.expect("every store can be looked at")
}

/// A file in a store of its own below the platform's folder, gone at the end of the test.
struct Planted(std::path::PathBuf);

impl Planted {
    fn new(platform: &Platform, name: &str, bytes: &[u8]) -> Self {
        let folder = platform.folder.join(format!("planted-{name}-{}", platform.nonce()));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("page"), bytes).expect("a file");
        Self(folder)
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_persons_canaries_are_nowhere_and_nothing_undated_opens() {
    let _alone = alone().await;
    let platform = platform();
    let tenant = platform.tenant().await;
    let person = write(platform, &tenant).await;

    let before = look(platform, &person).await;
    let stores: Vec<_> = before.stores.iter().map(String::as_str).collect();
    assert_eq!(stores, ["index"], "plaintext outside the search index:\n{before}");
    assert!(
        before.undated >= 15,
        "the profile, the picture, the rating and twelve messages open before the erasure: {before}"
    );
    assert_eq!(before.unread, 0, "{before}");

    // The wrapped secrets, as a backup that nobody knew of would keep them.
    let url = format!("{}/messaging", platform.run.keystore_admin_url);
    let mut keystore = PgConnection::connect(&url).await.expect("the keystore");
    let subjects: Vec<_> = person.subjects.iter().map(|subject| subject.uuid()).collect();
    let wrapped: Vec<Vec<u8>> =
        sqlx::query_scalar("select wrapped from secrets where secret_id = any($1) or subject_id = any($1)")
            .bind(subjects)
            .fetch_all(&mut keystore)
            .await
            .expect("wrapped secrets");
    assert!(wrapped.len() >= 3, "a subject, a profile, a conversation's month");

    erase(&tenant.owner, &person.contact).await;
    let after = look(platform, &person).await;
    assert!(after.is_clean(), "{after}");
    assert!(after.dated + after.closed > 0, "the sealed values that linger in old pages are seen: {after}");

    // And the search would have seen it.
    let token = &person.tokens[0].1;
    let planted = Planted::new(platform, "token", token.as_bytes());
    assert_eq!(look(platform, &person).await.plaintext, 1);
    drop(planted);
    let planted = Planted::new(platform, "wrapper", &wrapped.concat());
    let found = look(platform, &person).await;
    assert!(
        found.undated > 0 && !found.is_clean(),
        "an old wrapper outside the keystore went unseen: {found}"
    );
    drop(planted);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_person_who_was_two_contacts_nothing_is_left_of_either() {
    let _alone = alone().await;
    let platform = platform();
    let tenant = platform.tenant().await;
    let (survivor, merged) = (write(platform, &tenant).await, write(platform, &tenant).await);
    let body = json!({"merged_contact_id": merged.contact});
    tenant.owner.post(&format!("/v1/contacts/{}/merge", survivor.contact), body).await.ok();
    for person in [&survivor, &merged] {
        let before = look(platform, person).await;
        let stores: Vec<_> = before.stores.iter().map(String::as_str).collect();
        assert_eq!(stores, ["index"], "plaintext outside the search index:\n{before}");
        assert!(before.undated >= 13, "each subject's values open under its own secret: {before}");
    }
    erase(&tenant.owner, &survivor.contact).await;
    for person in [&survivor, &merged] {
        let after = look(platform, person).await;
        assert!(after.is_clean(), "{after}");
        assert!(after.dated + after.closed > 0, "the sealed values that linger are seen: {after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_members_canaries_are_nowhere_and_nothing_undated_opens() {
    let _alone = alone().await;
    let platform = platform();
    let tenant = platform.tenant().await;
    let (member, tokens) = write_member(platform, &tenant).await;
    let id: MemberId = member.parse().expect("an id");
    let url = format!("{}/identity", platform.run.admin_url);
    let mut database = PgConnection::connect(&url).await.expect("identity's database");
    let subject = sqlx::query_scalar("select subject_id::uuid from members where member_id = $1");
    let subject = subject.bind(id.uuid()).fetch_one(&mut database).await.expect("a subject");
    let person = Person { contact: String::new(), tokens, subjects: vec![SubjectId::new(subject)] };

    let before = look(platform, &person).await;
    assert!(before.stores.is_empty(), "plaintext of a member is stored:\n{before}");
    assert!(
        before.undated >= 5,
        "profile, photo, log-in record, grounds and answer open before the erasure: {before}"
    );

    let path = format!("/v1/members/{member}");
    tenant.owner.send(Method::POST, &format!("{path}/deactivate"), &[], None).await.ok();
    let all = json!({"mode": "all", "confirmation": member});
    let erased = tenant.owner.post(&format!("{path}/erase"), all).await.ok();
    assert!(erased["erased_at"].is_string(), "{erased}");
    let after = look(platform, &person).await;
    assert!(after.is_clean(), "{after}");
    assert!(after.dated + after.closed > 0, "the sealed values that linger in old pages are seen: {after}");
}
