//! ms-13: suppression outlives erasure: after a contact is erased its hashed address stays blocked, and nothing else of it
//! stays. START from the address lifts it.

use lethe_tests::{Talk, erase_as, platform};
use serde_json::{Value, json};

pub(in super::super) async fn ms_13_a_suppressed_address_stays_blocked_after_the_erasure_until_start() {
    let tenant = platform().tenant().await;
    let api = &tenant.owner;
    for mode in ["everything", "contact_only"] {
        let talk = Talk::begin(api, "email").await;
        talk.send("Your order").await.ok();
        let body = json!({"contact_id": talk.contact, "mode": mode, "suppress": true});
        erase_as(api, &platform().nonce(), body).await;
        // Nothing of the person is found by the address...
        let found = api.post("/v1/contacts/look-up", json!({"email": talk.email})).await.ok();
        assert_eq!(found["contacts"], json!([]), "{mode}");
        // ... and whoever comes with it is not written to, on any channel.
        let profile = json!({"name": "Somebody", "email": talk.email});
        let later = api.create("/v1/contacts", &platform().nonce(), profile).await.ok();
        assert_eq!((&later["opted_out"], &later["phone"]), (&json!(true), &Value::Null), "{mode}");
        let contact = later["contact_id"].as_str().expect("an id");
        for channel in ["email", "sms"] {
            let opened = json!({"contact_id": contact, "channel": channel});
            let opened = api.create("/v1/conversations", &platform().nonce(), opened).await.ok();
            let path = format!("/v1/conversations/{}", opened["conversation_id"].as_str().expect("an id"));
            let out = format!("{path}/messages");
            let hello = json!({"text": "Hello again"});
            let refused = api.create(&out, &platform().nonce(), hello.clone()).await;
            assert_eq!(refused.problem(), (409, "CONTACT_OPTED_OUT"), "{mode} {channel}");
            if channel == "sms" {
                let start = json!({"text": "START"});
                api.create(&format!("{path}/inbound-messages"), &platform().nonce(), start).await.ok();
                api.create(&out, &platform().nonce(), hello).await.ok();
            }
        }
    }
    // Without it, the address of an erased contact is like any other.
    let talk = Talk::begin(api, "email").await;
    erase_as(api, &platform().nonce(), json!({"contact_id": talk.contact})).await;
    let profile = json!({"name": "Somebody", "email": talk.email});
    let later = api.create("/v1/contacts", &platform().nonce(), profile).await.ok();
    assert_eq!(later["opted_out"], json!(false));
}
