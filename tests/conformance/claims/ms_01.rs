//! ms-01: contacts have a display name, phone, e-mail, company, address, picture, tags, labels, lifecycle stage, lead
//! score and custom fields; and every one can be rectified (GDPR Art. 16).

use lethe_tests::{Api, platform};
use serde_json::{Value, json};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nfirst";
const JPEG: &[u8] = b"\xff\xd8\xff\xe0second";

async fn label(api: &Api, name: &str) -> String {
    let body = json!({"name": name, "colour": "#a0b1c2"});
    let made = api.create("/v1/labels", &platform().nonce(), body).await.ok();
    made["label_id"].as_str().expect("an id").to_owned()
}

pub(in super::super) async fn ms_01_every_field_of_a_contact_can_be_rectified() {
    let owner = platform().tenant().await.owner;
    let (vip, returns) = (label(&owner, "VIP").await, label(&owner, "Returns").await);
    let given = json!({
        "name": "Grace Hopper", "phone": "+12025550123", "email": "grace@example.org", "company": "US Navy",
        "address": "1 Pier\nArlington", "tags": ["navy"], "custom_fields": {"card": "1906"}, "label_ids": [vip],
        "lifecycle_stage": "lead", "lead_score": 40, "other_phones": ["+12025550124"],
        "other_emails": ["amazing@example.org"],
    });
    let shown = |contact: &Value| -> Value {
        let fields = given.as_object().expect("fields").keys();
        fields.map(|name| (name.clone(), contact[name].clone())).collect()
    };
    let made = owner.create("/v1/contacts", "grace", given.clone()).await.ok();
    assert_eq!(shown(&made), given);
    let path = format!("/v1/contacts/{}", made["contact_id"].as_str().expect("an id"));

    // Each field alone, and nothing else changes with it.
    let mut now = given.clone();
    for (name, value) in [
        ("name", json!("Grace B. Hopper")),
        ("phone", json!("+12025550199")),
        ("email", json!("hopper@example.org")),
        ("company", json!("Digital")),
        ("address", json!("2 Mill Street\nMaynard")),
        ("tags", json!(["cobol", "nanoseconds"])),
        ("custom_fields", json!({"card": "1992", "rank": "rear admiral"})),
        ("label_ids", json!([returns])),
        ("lifecycle_stage", json!("customer")),
        ("lead_score", json!(100)),
        ("other_phones", json!(["+12025550125", "+12025550126"])),
        ("other_emails", json!(["grace.hopper@example.org"])),
    ] {
        let before = owner.get(&path).await;
        let etag = before.headers["etag"].to_str().expect("a tag").to_owned();
        now[name] = value.clone();
        let change = json!({name: value});
        assert_eq!(shown(&owner.patch(&path, &etag, change.clone()).await.ok()), now, "{name}");
        assert_eq!(shown(&owner.get(&path).await.ok()), now, "{name}");
        assert_eq!(owner.patch(&path, &etag, change).await.problem(), (412, "VERSION_MISMATCH"), "{name}");
    }
    // The addresses that it is found by went along.
    let found = async |email: &str| {
        let answer = owner.post("/v1/contacts/look-up", json!({"email": email})).await.ok();
        answer["contacts"].as_array().expect("contacts").len()
    };
    assert_eq!((found("hopper@example.org").await, found("grace@example.org").await), (1, 0));
    assert_eq!((found("grace.hopper@example.org").await, found("amazing@example.org").await), (1, 0));

    // One past what fits is refused, with the field's name.
    let etag = owner.get(&path).await.headers["etag"].to_str().expect("a tag").to_owned();
    for (name, value) in [
        ("lead_score", json!(101)),
        ("lifecycle_stage", json!("Not a code")),
        ("label_ids", json!(["lbl_01998f2ac3e47b0f8a5d2f60b1c9e7aa"])),
        ("phone", json!("12")),
    ] {
        let refused = owner.patch(&path, &etag, json!({name: value})).await;
        assert_eq!(
            (refused.problem().0, refused.body["field"].as_str()),
            (422, Some(name)),
            "{}",
            refused.body
        );
    }

    // The picture: put, replaced, and read as it is.
    let picture = format!("{path}/picture");
    assert_eq!(owner.get(&picture).await.problem(), (404, "PICTURE_NOT_FOUND"));
    let mut tags = Vec::new();
    for (media_type, content) in [("image/png", PNG), ("image/jpeg", JPEG)] {
        let contact = owner.put_bytes(&picture, media_type, content).await.ok();
        assert_eq!(contact["has_picture"], json!(true));
        let (kind, etag, bytes) = owner.get_bytes(&picture).await;
        assert_eq!((kind.as_str(), &bytes[..]), (media_type, content));
        tags.push(etag);
    }
    assert_ne!(tags[0], tags[1]);
    let odd = owner.put_bytes(&picture, "image/png", b"<svg onload=alert(1)>").await;
    assert_eq!((odd.problem().0, odd.body["field"].as_str()), (422, Some("content")));

    // And everything can be taken away.
    let etag = owner.get(&path).await.headers["etag"].to_str().expect("a tag").to_owned();
    let cleared = json!({
        "name": null, "phone": null, "email": null, "company": null, "address": null, "tags": null,
        "custom_fields": {"card": null, "rank": null}, "label_ids": null, "lifecycle_stage": null, "lead_score": null,
        "other_phones": null, "other_emails": null,
    });
    owner.patch(&path, &etag, cleared).await.ok();
    let contact = owner.delete(&picture).await.ok();
    assert_eq!(contact["has_picture"], json!(false));
    let nothing = [json!(null), json!([]), json!({})];
    for (name, value) in shown(&contact).as_object().expect("fields") {
        assert!(nothing.contains(value), "{name}: {value}");
    }
}
