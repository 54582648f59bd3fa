//! id-14: a member's own rights: a copy of his data, correction, deletion, objection, and portability in JSON or CSV.

use lethe_tests::{Answer, Api, Tenant, platform};
use reqwest::Method;
use serde_json::{Value, json};

/// Python's bcrypt made it of "correct horse".
const BCRYPT: &str = "$2b$05$Flnd.Cd3p1/tXdF28SzYjuts0hz5X/kMKIWXuyn6AYRvJih45H7HS";
const PASSWORD: &str = "correct horse";
/// What a spreadsheet would run.
const NAME: &str = "=cmd|' /C calc'!A0 \"Ada\", Lovelace";

pub(in super::super) async fn id_14_a_member_copies_corrects_and_carries_away_his_data_and_asks_for_erasure_or_objects()
 {
    let tenant = platform().tenant().await;
    let email = format!("ada@{}.example", tenant.slug);
    let ada = json!({"name": "Ada", "email": email, "phone": "+442071838750", "roles": ["agent"], "bcrypt_hash": BCRYPT});
    let made = tenant.owner.create("/v1/members", "ada", ada).await.ok();
    let id = made["member"]["member_id"].as_str().expect("an id").to_owned();
    let api = Api::log_in(&platform().run.url, &tenant.slug, &email, PASSWORD).await;
    let png = b"\x89PNG\r\n\x1a\nface".to_vec();
    let photo = format!("/v1/members/{id}/photo");
    assert_eq!(api.exchange(Method::PUT, &photo, &[("content-type", "image/png")], Some(png)).await.0, 204);

    corrects(&tenant, &api, &email).await;
    copies(&tenant, &api, &id).await;
    objects(&tenant, &api).await;
    is_erased(&tenant, &api, &id, &email).await;
}

/// Art. 16: by the version that was read, and the address that one logs in by with the password alone.
async fn corrects(tenant: &Tenant, api: &Api, email: &str) {
    let was = api.get("/v1/self").await.ok();
    let version = format!("\"{}\"", was["version"]);
    let changed = api.patch("/v1/self", &version, json!({"name": NAME})).await.ok();
    assert_eq!((&changed["name"], &changed["email"]), (&json!(NAME), &json!(email)));
    let stale = api.patch("/v1/self", &version, json!({"name": "Eve"})).await;
    assert_eq!(stale.problem(), (412, "VERSION_MISMATCH"));
    let version = format!("\"{}\"", changed["version"]);
    for (wrong, status, code) in [
        (json!({"name": null}), 422, "FIELD_INVALID"),
        (json!({"email": null, "current_password": PASSWORD}), 422, "FIELD_INVALID"),
        (json!({"email": "nobody", "current_password": PASSWORD}), 422, "FIELD_INVALID"),
        (json!({"roles": ["owner"]}), 422, "FIELD_UNKNOWN"),
        (json!({"email": "eve@example.org"}), 409, "WRONG_PASSWORD"),
    ] {
        assert_eq!(api.patch("/v1/self", &version, wrong.clone()).await.problem(), (status, code), "{wrong}");
    }
    let owners = format!("owner@{}.example", tenant.slug);
    let taken = json!({"email": owners, "current_password": PASSWORD});
    assert_eq!(api.patch("/v1/self", &version, taken).await.problem(), (409, "EMAIL_TAKEN"));
    let new = format!("king@{}.example", tenant.slug);
    let moved = json!({"email": new, "current_password": PASSWORD, "phone": null});
    let moved = api.patch("/v1/self", &version, moved).await.ok();
    assert_eq!((&moved["email"], &moved["phone"]), (&json!(new), &json!(null)));
    Api::log_in(&api.url, &tenant.slug, &new, PASSWORD).await;
    let back = json!({"email": email, "current_password": PASSWORD, "phone": "+442071838750"});
    api.patch("/v1/self", &format!("\"{}\"", moved["version"]), back).await.ok();
}

/// Art. 15 and 20: everything, with what it is for, as JSON and as CSV.
async fn copies(tenant: &Tenant, api: &Api, id: &str) {
    let (_, headers, bytes) = api.exchange(Method::GET, "/v1/self/data", &[], None).await;
    assert_eq!(headers["content-disposition"], "attachment; filename=\"own-data.json\"");
    let copy: Value = serde_json::from_slice(&bytes).expect("JSON");
    let records = copy["records"].as_array().expect("records");
    let of = |category: &str| -> Vec<&Value> {
        records
            .iter()
            .filter(|record| record["category"] == category)
            .map(|record| &record["fields"])
            .collect()
    };
    assert_eq!(of("profile")[0]["name"], json!(NAME));
    assert_eq!(of("profile")[0]["roles"], json!("agent"));
    assert_eq!(of("photo")[0]["content"], json!("iVBORw0KGgpmYWNl"));
    assert_eq!(of("session").len(), 2);
    assert!(of("log_in").iter().all(|log_in| log_in["ip"].is_string() && log_in["succeeded"] == "true"));
    let events = of("audit_event");
    for (action, actor) in [("SetPhoto", id), ("UpdateSelf", id)] {
        assert!(
            events.iter().any(|event| event["action"] == action && event["actor_id"] == actor),
            "{action}"
        );
    }
    assert!(events.iter().any(|event| event["action"] == "CreateMember" && event["target_id"] == id));
    for category in copy["categories"].as_array().expect("categories") {
        for said in ["purpose", "recipients", "kept", "source"] {
            assert!(category[said].as_str().is_some_and(|said| !said.is_empty()), "{category}");
        }
    }
    assert!(!copy.to_string().contains(&format!("owner@{}", tenant.slug)), "of others ids alone");

    let csv = [("accept", "text/csv")];
    let (status, headers, bytes) = api.exchange(Method::GET, "/v1/self/data?format=csv", &csv, None).await;
    assert_eq!(status, 200);
    assert!(headers["content-type"].to_str().expect("a text").starts_with("text/csv"));
    let mut reader = csv::Reader::from_reader(&bytes[..]);
    let lines: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("RFC 4180");
    let mut fields = 0;
    // The first copy has left an event of its own.
    for record in records {
        for (field, value) in record["fields"].as_object().expect("fields") {
            let value = value.as_str().expect("a text");
            let line = lines.iter().find(|line| line[1] == record["record_id"] && line[3] == **field);
            let line = line.unwrap_or_else(|| panic!("{field} of {record}"));
            assert_eq!(&line[4].replace('\'', ""), &value.replace('\'', ""), "{field}");
            fields += 1;
        }
    }
    assert!(fields > 50, "{fields}");
    let runs = |cell: &str| cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    assert!(!lines.iter().flat_map(|line| line.iter()).any(runs), "a spreadsheet runs nothing");
    let wrong = api.get("/v1/self/data?format=xml").await;
    assert_eq!(wrong.problem(), (400, "FIELD_INVALID"));
}

async fn close(api: &Api, request: &Value, answer: Value) -> Answer {
    let id = request["member_request_id"].as_str().expect("an id");
    api.post(&format!("/v1/member-requests/{id}/close"), answer).await
}

/// Art. 21: recorded, due in a month, seen by those who may answer, and answered with a reason.
async fn objects(tenant: &Tenant, api: &Api) {
    let objection = json!({"kind": "objection", "grounds": "My log-ins need not be kept."});
    let made = api.create("/v1/self/requests", "o-1", objection.clone()).await;
    assert_eq!(made.status, 201);
    let made = made.ok();
    assert_eq!(made["grounds"], objection["grounds"]);
    assert_eq!(
        api.create("/v1/self/requests", "o-1", objection.clone()).await.ok(),
        made,
        "twice is as once"
    );
    let another = api.create("/v1/self/requests", "o-2", objection).await;
    assert_eq!(another.problem(), (409, "REQUEST_OPEN"));
    let instant = |field: &str| {
        let text = made[field].as_str().expect("an instant");
        time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).expect("RFC 3339")
    };
    let days = (instant("due_at").date() - instant("received_at").date()).whole_days();
    assert!((28..=36).contains(&days), "a month, and on a working day: {days}");
    assert_eq!(api.get("/v1/member-requests").await.problem(), (403, "PERMISSION_DENIED"));
    let open = tenant.owner.get("/v1/member-requests?state=open").await.ok();
    assert_eq!(open["requests"], json!([made]));
    let unreasoned = close(&tenant.owner, &made, json!({"state": "refused"})).await;
    assert_eq!(unreasoned.problem(), (422, "FIELD_INVALID"));
    let refusal =
        json!({"state": "refused", "refusal": "legal_claims", "answer": "Until the case is closed."});
    assert_eq!(close(api, &made, refusal.clone()).await.problem(), (403, "PERMISSION_DENIED"));
    let closed = close(&tenant.owner, &made, refusal.clone()).await.ok();
    let owner = tenant.owner.get("/v1/self").await.ok();
    assert_eq!((&closed["closed_by"], &closed["refusal"]), (&owner["member_id"], &json!("legal_claims")));
    assert_eq!(closed["answer"], refusal["answer"]);
    assert_eq!(close(&tenant.owner, &made, refusal).await.ok(), closed, "twice is as once");
    let otherwise = close(&tenant.owner, &made, json!({"state": "granted"})).await;
    assert_eq!(otherwise.problem(), (409, "REQUEST_CLOSED"));
    assert_eq!(api.get("/v1/self/requests").await.ok()["requests"], json!([closed]), "the member reads why");
    let copy = api.get("/v1/self/data").await.ok();
    let records = copy["records"].as_array().expect("records");
    let request = records.iter().find(|record| record["category"] == "request").expect("the request");
    assert_eq!(request["fields"]["state"], json!("refused_legal_claims"));
    assert_eq!(request["fields"]["answer"], json!("Until the case is closed."));
}

/// Art. 17: granted, it is the erasure of all that there is, under its own rules.
async fn is_erased(tenant: &Tenant, api: &Api, id: &str, email: &str) {
    let erasure = json!({"kind": "erasure", "grounds": "I have left."});
    let made = api.create("/v1/self/requests", "e-1", erasure).await.ok();
    let granted = json!({"state": "granted", "confirmation": id});
    assert_eq!(
        close(&tenant.owner, &made, json!({"state": "granted"})).await.problem(),
        (422, "FIELD_INVALID")
    );
    assert_eq!(close(&tenant.owner, &made, granted.clone()).await.problem(), (409, "MEMBER_ACTIVE"));
    let path = format!("/v1/members/{id}");
    tenant.owner.send(Method::POST, &format!("{path}/deactivate"), &[], None).await.ok();
    let closed = close(&tenant.owner, &made, granted).await.ok();
    assert_eq!((&closed["state"], &closed["grounds"]), (&json!("granted"), &json!(null)), "{closed}");
    let erased = tenant.owner.get(&format!("{path}/erasure")).await.ok();
    assert_eq!(erased["mode"], json!("all"));
    assert!(erased["erased_at"].is_string(), "{erased}");
    let left = tenant.owner.get(&path).await.ok();
    assert_eq!((&left["name"], &left["email"]), (&json!(""), &json!("")));
    let log_in = json!({"tenant": tenant.slug, "email": email, "password": PASSWORD});
    assert_eq!(Api::anonymous(&api.url).post("/v1/sessions", log_in).await.problem().0, 401);
    let all = tenant.owner.get("/v1/member-requests").await.ok();
    let all = all["requests"].as_array().expect("requests").clone();
    assert_eq!(all.len(), 2, "that it was asked and answered stays");
    assert!(all.iter().all(|request| request["grounds"].is_null() && request["answer"].is_null()));
    let events = tenant.owner.get("/v1/audit-events?action=CloseMemberRequest").await.ok();
    assert_eq!(events["events"][0]["detail"], json!("granted"), "{events}");
}
