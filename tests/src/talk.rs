//! A contact in a conversation, as most tests need one.

use serde_json::json;

use crate::{Answer, Api, platform};

/// One contact in one conversation.
pub struct Talk {
    api: Api,
    /// `con_…`.
    pub contact: String,
    /// `cnv_…`.
    pub conversation: String,
    /// The contact's address, unlike any other.
    pub email: String,
}

impl Talk {
    /// A new contact and a conversation on `channel`.
    pub async fn begin(api: &Api, channel: &str) -> Self {
        let nonce = platform().nonce();
        let email = format!("{nonce}@example.org");
        let profile = json!({"name": format!("Person {nonce}"), "email": email});
        let contact = api.create("/v1/contacts", &nonce, profile).await.ok();
        let contact = contact["contact_id"].as_str().expect("an id").to_owned();
        Self::open(api, contact, email, channel).await
    }

    /// Another conversation of the same contact.
    pub async fn on(&self, channel: &str) -> Self {
        Self::open(&self.api, self.contact.clone(), self.email.clone(), channel).await
    }

    async fn open(api: &Api, contact: String, email: String, channel: &str) -> Self {
        let body = json!({"contact_id": contact, "channel": channel});
        let opened = api.create("/v1/conversations", &platform().nonce(), body).await.ok();
        let conversation = opened["conversation_id"].as_str().expect("an id").to_owned();
        Self { api: api.clone(), contact, conversation, email }
    }

    /// An outbound message.
    pub async fn send(&self, text: &str) -> Answer {
        let path = format!("/v1/conversations/{}/messages", self.conversation);
        self.api.create(&path, &platform().nonce(), json!({"text": text})).await
    }

    /// An inbound message.
    pub async fn receive(&self, text: &str) -> Answer {
        let path = format!("/v1/conversations/{}/inbound-messages", self.conversation);
        self.api.create(&path, &platform().nonce(), json!({"text": text})).await
    }
}
