//! An import as a platform team sees it: a file of JSON Lines, read to its end; what was said elsewhere is found, told to no
//! webhook, and gone with whom it was said by.

use std::time::Duration;

use lethe_tests::{Tenant, erase, platform, within};
use serde_json::{Value, json};

async fn put(tenant: &Tenant, import: &str, number: u32, rows: &[Value]) -> Value {
    let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
    let chunk = format!("/v1/imports/{import}/chunks/{number}");
    tenant.owner.put_bytes(&chunk, "application/jsonl", rows.join("\n").as_bytes()).await.ok()
}

#[tokio::test]
async fn what_was_said_elsewhere_is_found_and_gone_with_its_contact() {
    let platform = platform();
    let tenant = platform.tenant().await;
    let api = &tenant.owner;
    let hook = json!({"url": "http://127.0.0.2:9/", "description": "CRM",
                      "event_types": ["contact.changed", "conversation.changed", "message.changed"]});
    api.create("/v1/webhook-endpoints", "hook", hook).await.ok();
    let (nonce, import) = (platform.nonce(), api.create("/v1/imports", "import", json!({})).await.ok());
    let import = import["import_id"].as_str().expect("an id").to_owned();
    let word = format!("zq{nonce}");
    let said = |key: &str, direction: &str, text: String, at: &str| json!({"key": key, "direction": direction, "text": text, "sent_at": at});
    let rows = [
        json!({"contact": {"key": "1906", "profile": {"name": "Grace Hopper", "email": "grace@example.org"}}}),
        json!({"conversation": {"key": "t-1", "contact_key": "1906", "channel": "email", "status": "resolved", "messages": [
            said("1", "inbound", format!("Is {word} in stock?"), "2021-03-01T09:30:00Z"),
            said("2", "outbound", format!("{word} is, from Monday on"), "2021-04-01T10:00:00.25Z"),
        ]}}),
        json!({"conversation": {"key": "t-2", "contact_key": "1906", "channel": "email", "messages": [
            said("1", "inbound", word.clone(), "2199-01-01T00:00:00Z")]}}),
    ];
    let taken = put(&tenant, &import, 1, &rows).await;
    assert_eq!((&taken["imported"], &taken["refused"]), (&json!(2), &json!(1)), "{taken}");
    let refused = api.get(&format!("/v1/imports/{import}/refused-rows")).await.ok();
    let row = &refused["rows"][0];
    assert_eq!(
        (&row["line"], &row["field"], &row["code"]),
        (&json!(3), &json!("conversation.messages[0].sent_at"), &json!("FIELD_INVALID"))
    );
    assert!(!refused.to_string().contains(&word), "{refused}");

    let by = json!({"email": "grace@example.org"});
    let found = api.post("/v1/contacts/look-up", by.clone()).await.ok();
    let contact = found["contacts"][0]["contact_id"].as_str().expect("an id").to_owned();
    let search = json!({"query": word});
    let hits =
        async || api.post("/v1/search/messages", search.clone()).await.ok()["hits"].as_array().map(Vec::len);
    within(Duration::from_secs(30), "both messages are found", async || hits().await == Some(2)).await;
    let found = api.post("/v1/search/messages", search.clone()).await.ok();
    let mut times: Vec<_> = found["hits"].as_array().expect("hits").iter().map(time_of).collect();
    times.sort_unstable();
    assert_eq!(times, ["2021-03-01T09:30:00Z", "2021-04-01T10:00:00.25Z"]);
    // A change of now is told, what was brought is not: the index has read past it.
    api.send(reqwest::Method::PUT, &format!("/v1/contacts/{contact}/opt-out"), &[], None).await.ok();
    within(Duration::from_secs(30), "the opt-out is told", async || !deliveries(&tenant).await.is_empty())
        .await;
    let told = deliveries(&tenant).await;
    assert_eq!(told.len(), 1, "{told:?}");

    erase(api, &contact).await;
    assert_eq!(hits().await, Some(0));
    let again = put(&tenant, &import, 2, &rows[..2]).await;
    assert_eq!((&again["imported"], &again["refused"]), (&json!(0), &json!(2)), "{again}");
    let refused = api.get(&format!("/v1/imports/{import}/refused-rows")).await.ok();
    assert_eq!(refused["rows"][1]["code"], json!("CONTACT_GONE"));
    assert_eq!(api.post("/v1/contacts/look-up", by).await.ok()["contacts"], json!([]));
}

fn time_of(hit: &Value) -> String {
    let message = hit.get("message").unwrap_or(hit);
    message["created_at"].as_str().unwrap_or_else(|| panic!("a time in {hit}")).to_owned()
}

async fn deliveries(tenant: &Tenant) -> Vec<Value> {
    let listed = tenant.owner.get("/v1/webhook-deliveries").await.ok();
    listed["deliveries"].as_array().expect("deliveries").clone()
}
