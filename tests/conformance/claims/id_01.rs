//! id-01: a tenant has a name, a slug, a plan, settings and a region; teams; members with a name, an e-mail address, a phone
//! that may be left out, and a photo.

use lethe_tests::platform;
use reqwest::Method;
use serde_json::json;

const JPEG: &[u8] = b"\xff\xd8\xff\xe0a face";

pub(in super::super) async fn id_01_a_tenant_has_teams_and_members_with_photos() {
    let tenant = platform().tenant().await;
    let owner = &tenant.owner;
    let read = owner.get("/v1/tenant").await.ok();
    assert_eq!(read["slug"], json!(tenant.slug));
    let etag = format!("\"{}\"", read["version"]);
    let change = json!({"name": "Acme Limited", "region": "eu-west", "settings": {"locale": "en"}});
    let changed = owner.patch("/v1/tenant", &etag, change).await.ok();
    for (field, value) in [("name", "Acme Limited"), ("region", "eu-west")] {
        assert_eq!(changed[field], json!(value));
    }
    assert!(changed["plan"].is_string());
    assert_eq!(changed["settings"]["locale"], json!("en"));

    // A phone may be left out, and is kept in international form.
    let email = |name: &str| format!("{name}@{}.example", tenant.slug);
    let ada = json!({"name": "Ada Lovelace", "email": email("ada"), "roles": ["agent"]});
    let ada = owner.create("/v1/members", "ada", ada).await.ok();
    assert_eq!((&ada["member"]["name"], &ada["member"]["phone"]), (&json!("Ada Lovelace"), &json!(null)));
    let bob = json!({"name": "Bob", "email": email("bob"), "phone": "+44 20 7183 8750", "roles": ["agent"]});
    let bob = owner.create("/v1/members", "bob", bob).await.ok();
    assert_eq!(bob["member"]["phone"], json!("+442071838750"));
    let ada_id = ada["member"]["member_id"].as_str().expect("an id");
    let member = format!("/v1/members/{ada_id}");
    assert_eq!(owner.get(&member).await.ok()["email"], json!(email("ada")));

    // Teams: named once, filled, listed from both sides.
    let team = owner.create("/v1/teams", "support", json!({"name": "Support"})).await.ok();
    let path = format!("/v1/teams/{}", team["team_id"].as_str().expect("an id"));
    let again = owner.create("/v1/teams", "again", json!({"name": "SUPPORT"})).await;
    assert_eq!(again.problem(), (409, "TEAM_NAME_TAKEN"));
    let add = owner.send(Method::PUT, &format!("{path}/members/{ada_id}"), &[], None).await.ok();
    assert_eq!(add["members"], json!(1));
    let of_team = format!("/v1/members?team_id={}", team["team_id"].as_str().expect("an id"));
    let of_team = owner.get(&of_team).await.ok();
    assert_eq!(of_team["members"].as_array().expect("members").len(), 1);
    let of_ada = owner.get(&format!("/v1/teams?member_id={ada_id}")).await.ok();
    assert_eq!(of_ada["teams"][0]["name"], json!("Support"));

    // A photo: the bytes and the media type that were sent, a tag, and nothing that is no picture.
    let photo = format!("{member}/photo");
    let put = async |media_type: &str, bytes: &[u8]| {
        let headers = [("content-type", media_type)];
        owner.exchange(Method::PUT, &photo, &headers, Some(bytes.to_vec())).await
    };
    assert_eq!(put("image/svg+xml", b"<svg/>").await.0, 415);
    assert_eq!(put("image/png", JPEG).await.0, 422);
    let mut large = JPEG.to_vec();
    large.resize(256 * 1024 + 1, 0);
    assert_eq!(put("image/jpeg", &large).await.0, 413);
    large.pop();
    assert_eq!(put("image/jpeg", &large).await.0, 204);
    let (status, set, _) = put("image/jpeg", JPEG).await;
    assert_eq!(status, 204);
    let browser = [("accept", "image/avif,image/webp,*/*;q=0.8")];
    let (status, headers, bytes) = owner.exchange(Method::GET, &photo, &browser, None).await;
    assert_eq!((status.as_u16(), &bytes[..]), (200, JPEG));
    assert_eq!(headers["content-type"], "image/jpeg");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["etag"], set["etag"]);
    let tag = headers["etag"].to_str().expect("a tag").to_owned();
    let unless = [("if-none-match", tag.as_str()), ("accept", "image/*")];
    let (status, _, bytes) = owner.exchange(Method::GET, &photo, &unless, None).await;
    assert_eq!((status.as_u16(), bytes.len()), (304, 0));
    owner.delete(&photo).await.ok();
    assert_eq!(owner.get(&photo).await.problem(), (404, "PHOTO_NOT_FOUND"));
}
