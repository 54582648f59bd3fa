//! An erasure through the public API, to its certificate.

use std::time::Duration;

use serde_json::json;

use crate::{Api, within};

/// Requests, confirms and waits until it is certified; answers the erasure's path.
pub async fn erase(api: &Api, contact: &str) -> String {
    let requested = api.create("/v1/erasures", contact, json!({"contact_id": contact})).await.ok();
    let path = format!("/v1/erasures/{}", requested["erasure"]["erasure_id"].as_str().expect("an id"));
    let confirm = json!({"confirmation_token": requested["confirmation_token"]});
    api.post(&format!("{path}/confirm"), confirm).await.ok();
    within(Duration::from_secs(60), "the erasure is certified", async || {
        api.get(&path).await.ok()["state"] == json!("certified")
    })
    .await;
    path
}
