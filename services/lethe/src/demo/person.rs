//! The person of the story: unique tokens in every field a contact can have and in every message, in several scripts,
//! so that whatever is left of the person can be recognised.

use lethe_ambient::{Clock, Entropy};
use lethe_ids::SubjectId;
use serde_json::{Value, json};

use super::{
    client::{Client, text},
    proof,
};
use crate::dev::Run;

/// Messages of the person, `{}` is where a token stands.
const MESSAGES: [&str; 6] = [
    "My order {} never arrived, and I have moved house since.",
    "Die Lieferung {} fehlt noch, bitte prüfen Sie das.",
    "Заказ {} так и не пришёл, помогите, пожалуйста.",
    "لم يصل الطلب {} حتى الآن، أرجو المساعدة.",
    "订单 {} 还没有收到,请帮我查一下。",
    "注文 {} がまだ届いていません。",
];

/// Who was written for, and what to look for.
pub(crate) struct Erased {
    pub(crate) contact: String,
    pub(crate) conversation: String,
    pub(crate) last_message: String,
    /// When the last message was acknowledged, in milliseconds since 1970.
    pub(crate) accepted_ms: i64,
    pub(crate) name: String,
    pub(crate) messages: usize,
    /// A word of one of the messages, found by search before the erasure.
    pub(crate) word: String,
    /// Everything that must not be found anywhere afterwards.
    pub(crate) tokens: Vec<(&'static str, String)>,
    /// What their sealed values are recognised by.
    pub(crate) subjects: Vec<SubjectId>,
    seq: u64,
}

impl Erased {
    /// Makes the contact and writes the messages.
    pub(crate) async fn write(
        client: &Client,
        run: &Run,
        nonce: &str,
        clock: &Clock,
        entropy: &Entropy,
    ) -> anyhow::Result<Self> {
        let token = || format!("zq{}", entropy.uuid4().simple());
        let digits = u64::from_be_bytes(entropy.bytes()) % 10_000_000;
        let (name, company, address, tag, field) = (token(), token(), token(), token(), token());
        let (phone, email) = (format!("+4930{digits:08}"), format!("{}@example.org", token()));
        let name = format!("Wilhelmina {name}");
        let profile = json!({
            "name": name, "phone": phone, "email": email, "company": company, "address": address,
            "tags": [tag], "custom_fields": {"loyalty_card": field},
        });
        let contact =
            text(&client.create("/v1/contacts", &format!("{nonce}-person"), profile).await?, "contact_id")?;
        let opened = json!({"contact_id": contact, "channel": "whatsapp"});
        let conversation = client.create("/v1/conversations", &format!("{nonce}-thread"), opened).await?;
        let conversation = text(&conversation, "conversation_id")?;
        let mut tokens = vec![
            ("name", name.clone()),
            ("phone", phone),
            ("e-mail address", email),
            ("company", company),
            ("address", address),
            ("tag", tag),
            ("custom field", field),
        ];
        let (mut word, mut seq, mut last_message) = (String::new(), 0, String::new());
        for (number, message) in MESSAGES.iter().enumerate() {
            word = token();
            let folder = if number % 3 == 2 { "messages" } else { "inbound-messages" };
            let body = json!({"text": message.replace("{}", &word)});
            let path = format!("/v1/conversations/{conversation}/{folder}");
            let accepted = client.create(&path, &format!("{nonce}-word-{number}"), body).await?;
            seq = accepted["seq"].as_u64().unwrap_or_default();
            last_message = text(&accepted, "message_id")?;
            tokens.push(("message", word.clone()));
        }
        let accepted_ms = clock.millis();
        let subjects = proof::subjects(run, &contact).await?;
        Ok(Self {
            contact,
            conversation,
            last_message,
            accepted_ms,
            name,
            messages: MESSAGES.len(),
            word,
            tokens,
            subjects,
            seq,
        })
    }

    /// A search for the last message that waits until it can be found.
    pub(crate) fn search(&self) -> Value {
        json!({"query": self.word, "wait_for": {"contact_id": self.contact, "seq": self.seq}})
    }

    /// What answers 404 after the erasure.
    pub(crate) fn paths(&self) -> [(&'static str, String); 4] {
        [
            ("the contact", format!("/v1/contacts/{}", self.contact)),
            ("the conversation", format!("/v1/conversations/{}", self.conversation)),
            ("its messages", format!("/v1/conversations/{}/messages", self.conversation)),
            ("the last message", format!("/v1/messages/{}", self.last_message)),
        ]
    }
}
