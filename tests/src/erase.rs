//! An erasure through the public API, to its certificate.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{Api, within};

/// Requests the erasure of all of a contact, confirms and waits until it is certified; answers the erasure's path.
pub async fn erase(api: &Api, contact: &str) -> String {
    erase_as(api, contact, json!({"contact_id": contact})).await
}

/// The same of any mode, as the body says.
pub async fn erase_as(api: &Api, key: &str, body: Value) -> String {
    let path = confirmed(api, key, body).await;
    within(Duration::from_secs(60), "the erasure is certified", async || {
        api.get(&path).await.ok()["state"] == json!("certified")
    })
    .await;
    path
}

/// Requests and confirms; answers the erasure's path.
pub async fn confirmed(api: &Api, key: &str, body: Value) -> String {
    let requested = api.create("/v1/erasures", key, body).await.ok();
    let path = format!("/v1/erasures/{}", requested["erasure"]["erasure_id"].as_str().expect("an id"));
    let confirm = json!({"confirmation_token": requested["confirmation_token"]});
    api.post(&format!("{path}/confirm"), confirm).await.ok();
    path
}
