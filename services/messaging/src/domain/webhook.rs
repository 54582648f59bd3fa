//! Webhook endpoints as they are told us, and what is sent there: thin events, signed by Standard Webhooks.

use std::{net::IpAddr, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use lethe_ids::{ContactId, ConversationId, ErasureId, EventId, MessageId};
use lethe_proto::messaging::WebhookEventType;
use prost::Message;
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use url::{Host, Url};
use zeroize::Zeroizing;

use super::{
    Invalid,
    channel::required,
    reach::{Network, may_reach},
};

/// Most characters of an address.
pub(crate) const MOST_OF_URL: usize = 2_048;
/// Most characters of a description.
pub(crate) const MOST_OF_DESCRIPTION: usize = 200;
/// Bytes of a signing secret; Standard Webhooks wants 24 to 64.
pub(crate) const SECRET_LEN: usize = 32;

/// Where webhooks may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    /// Plain HTTP too.
    pub(crate) allow_http: bool,
    /// Networks that are not public and may be reached all the same.
    pub(crate) allowed_networks: &'a [Network],
    /// These ports; any, when there are none.
    pub(crate) ports: &'a [u16],
}

/// The address of a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReceiverUrl(Url);

impl ReceiverUrl {
    /// Reads it. A name is judged when it is connected to, an address at once.
    ///
    /// # Errors
    /// [`Invalid`] at `url`.
    pub(crate) fn new(text: &str, rules: Rules<'_>) -> Result<Self, Invalid> {
        let wrong = |message: &str| Err(Invalid::new("url", message));
        if text.len() > MOST_OF_URL {
            return wrong("has more than 2,048 characters");
        }
        let Ok(url) = Url::parse(text) else { return wrong("is not an absolute URL") };
        match url.scheme() {
            "https" => {}
            "http" if rules.allow_http => {}
            _ => return wrong("must begin with https://"),
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return wrong("must have no user, password and fragment");
        }
        let allowed = match url.host() {
            Some(Host::Ipv4(address)) => may_reach(IpAddr::V4(address), rules.allowed_networks),
            Some(Host::Ipv6(address)) => may_reach(IpAddr::V6(address), rules.allowed_networks),
            Some(Host::Domain(_)) => true,
            None => false,
        };
        if !allowed {
            return wrong("must not be in a private network");
        }
        let port = url.port_or_known_default().unwrap_or(0);
        if !rules.ports.is_empty() && !rules.ports.contains(&port) {
            return wrong("has a port that webhooks are not sent to");
        }
        Ok(Self(url))
    }

    /// As it is.
    pub(crate) fn url(&self) -> &Url {
        &self.0
    }

    /// Whether it is the receiver that `url` is: the same scheme, host and port.
    pub(crate) fn is_beside(&self, url: &str) -> bool {
        Url::parse(url).is_ok_and(|other| self.0.origin() == other.origin())
    }
}

/// What is said of a receiver. Sealed as one value.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct EndpointProfile {
    /// Checked by [`ReceiverUrl`].
    #[prost(string, tag = "1")]
    pub(crate) url: String,
    /// Checked by [`description`].
    #[prost(string, tag = "2")]
    pub(crate) description: String,
}

/// A description: at most 200 characters.
///
/// # Errors
/// [`Invalid`] at `description`.
pub(crate) fn description(text: String) -> Result<String, Invalid> {
    match text.chars().count() {
        0..=MOST_OF_DESCRIPTION if !text.contains('\0') => Ok(text),
        0..=MOST_OF_DESCRIPTION => Err(Invalid::new("description", "must not hold U+0000")),
        _ => Err(Invalid::new("description", "has more than 200 characters")),
    }
}

/// What an endpoint wants to hear of, each once.
///
/// # Errors
/// [`Invalid`] at `event_types`: none, unknown ones, or such as are sent without being asked for.
pub(crate) fn event_types(numbers: &[i32]) -> Result<Vec<WebhookEventType>, Invalid> {
    let mut types = numbers
        .iter()
        .map(|number| required("event_types", *number))
        .collect::<Result<Vec<WebhookEventType>, _>>()?;
    types.sort_unstable_by_key(|one| *one as i32);
    types.dedup();
    if types.is_empty() {
        return Err(Invalid::new("event_types", "is missing"));
    }
    use WebhookEventType::{ContactErased, ConversationErased, WebhookTest};
    if types.iter().any(|one| matches!(one, ContactErased | ConversationErased | WebhookTest)) {
        return Err(Invalid::new("event_types", "names one that is sent without being asked for"));
    }
    Ok(types)
}

/// The name of a type in the body.
fn name(event_type: WebhookEventType) -> &'static str {
    match event_type {
        WebhookEventType::ContactChanged => "contact.changed",
        WebhookEventType::ConversationChanged => "conversation.changed",
        WebhookEventType::MessageChanged => "message.changed",
        WebhookEventType::ErasureAdvanced => "erasure.advanced",
        WebhookEventType::ContactErased => "contact.erased",
        WebhookEventType::ConversationErased => "conversation.erased",
        WebhookEventType::WebhookTest => "webhook.test",
        WebhookEventType::Unspecified => "unknown",
    }
}

/// What an event is about: ids and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct About {
    pub(crate) contact: Option<ContactId>,
    /// Of an erased person: the other ids of it.
    pub(crate) others: Vec<ContactId>,
    pub(crate) conversation: Option<ConversationId>,
    /// Of an erased part: the other conversations of it.
    pub(crate) other_conversations: Vec<ConversationId>,
    pub(crate) message: Option<MessageId>,
    pub(crate) erasure: Option<ErasureId>,
    /// The erasure's state: a code.
    pub(crate) erasure_state: Option<String>,
}

/// The body of a delivery. The same on every attempt.
pub(crate) fn body(event_type: WebhookEventType, at: OffsetDateTime, about: &About) -> String {
    let mut data = Map::new();
    let mut put = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            data.insert(key.to_owned(), Value::String(value));
        }
    };
    put("contact_id", about.contact.map(|id| id.to_string()));
    put("conversation_id", about.conversation.map(|id| id.to_string()));
    put("message_id", about.message.map(|id| id.to_string()));
    put("erasure_id", about.erasure.map(|id| id.to_string()));
    put("state", about.erasure_state.clone());
    let mut put_others = |key: &str, ids: Vec<String>| {
        if !ids.is_empty() {
            data.insert(key.to_owned(), ids.into());
        }
    };
    put_others("other_contact_ids", about.others.iter().map(ToString::to_string).collect());
    let others = about.other_conversations.iter();
    put_others("other_conversation_ids", others.map(ToString::to_string).collect());
    let body = serde_json::json!({
        "type": name(event_type),
        "timestamp": at.format(&Rfc3339).unwrap_or_default(),
        "data": data,
    });
    body.to_string()
}

/// What deliveries are signed with.
pub(crate) struct SigningSecret(Zeroizing<Vec<u8>>);

impl SigningSecret {
    /// From its bytes.
    pub(crate) fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// As the receiver is told: `whsec_` and base64.
    pub(crate) fn text(&self) -> String {
        format!("whsec_{}", STANDARD.encode(&*self.0))
    }

    /// `v1,` and the signature over `id.timestamp.body`.
    fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let signature = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(signature))
    }
}

/// The headers of an attempt: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
pub(crate) fn headers(
    event: EventId,
    at: OffsetDateTime,
    body: &str,
    secrets: &[SigningSecret],
) -> [(&'static str, String); 3] {
    let (id, timestamp) = (event.to_string(), at.unix_timestamp());
    let signatures: Vec<_> = secrets.iter().map(|secret| secret.sign(&id, timestamp, body)).collect();
    [
        ("webhook-id", id),
        ("webhook-timestamp", timestamp.to_string()),
        ("webhook-signature", signatures.join(" ")),
    ]
}

/// How long to wait after the attempt with this number (from 1); `None` when it was the last. `luck` of 256 lengthens it by
/// up to a tenth, so that what failed together does not come again together.
pub(crate) fn wait_after(attempt: u32, backoff_s: &[u64], luck: u8) -> Option<Duration> {
    let step = usize::try_from(attempt).ok()?.checked_sub(1)?;
    let ms = backoff_s.get(step)?.saturating_mul(1_000);
    Some(Duration::from_millis(ms + ms / 10 * u64::from(luck) / 256))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Rules<'_> = Rules { allow_http: false, allowed_networks: &[], ports: &[443, 8443] };

    #[test]
    fn an_address_is_public_https_and_nothing_else() {
        for right in [
            "https://hooks.example.org/a?b=c",
            "https://1.1.1.1/",
            "https://x.example:8443/",
            "HTTPS://X.example",
        ] {
            assert!(ReceiverUrl::new(right, STRICT).is_ok(), "{right}");
        }
        for wrong in [
            "http://hooks.example.org/",
            "ftp://hooks.example.org/",
            "hooks.example.org",
            "",
            "https://",
            "file:///etc/passwd",
            "https://user@hooks.example.org/",
            "https://u:p@hooks.example.org/",
            "https://hooks.example.org/#a",
            "https://hooks.example.org:22/",
            "https://hooks.example.org:80/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://127.0.0.1./",
            "https://①②⑦.0.0.1/",
            "https://169.254.169.254/latest",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "https://0/",
            "https://10.0.0.1:443/",
            &format!("https://x.example/{}", "a".repeat(2_048)),
        ] {
            assert_eq!(
                ReceiverUrl::new(wrong, STRICT).map_err(|e| e.field),
                Err("url".to_owned()),
                "{wrong}"
            );
        }
        let development = Rules { allow_http: true, ports: &[], ..STRICT };
        assert!(ReceiverUrl::new("http://hooks.example.org:8080/", development).is_ok());
    }

    #[test]
    fn another_host_is_another_receiver() {
        let one = ReceiverUrl::new("https://x.example/a", STRICT).unwrap();
        assert!(one.is_beside("https://X.example:443/b"));
        for other in ["https://y.example/a", "https://x.example:8443/a", "http://x.example/a", ""] {
            assert!(!one.is_beside(other), "{other}");
        }
    }

    #[test]
    fn types_are_those_that_can_be_asked_for() {
        let [contact, message] = [WebhookEventType::ContactChanged, WebhookEventType::MessageChanged];
        assert_eq!(event_types(&[3, 1, 3]), Ok(vec![contact, message]));
        for wrong in [&[][..], &[0], &[5], &[6, 1], &[7], &[-1]] {
            assert!(event_types(wrong).is_err(), "{wrong:?}");
        }
        assert!(description("ü".repeat(200)).is_ok());
        assert!(description("ü".repeat(201)).is_err());
        assert!(description("\0".to_owned()).is_err());
    }

    /// The example of the specification, <https://github.com/standard-webhooks/standard-webhooks>.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let bytes = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let secret = SigningSecret::new(Zeroizing::new(bytes));
        assert_eq!(secret.text(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_body_is_thin() {
        let about = About { contact: Some(ContactId::new(uuid::Uuid::from_u128(7))), ..About::default() };
        let text = body(WebhookEventType::ContactChanged, OffsetDateTime::UNIX_EPOCH, &about);
        let wanted = r#"{"data":{"contact_id":"con_00000000000000000000000000000007"},"timestamp":"1970-01-01T00:00:00Z","type":"contact.changed"}"#;
        assert_eq!(text, wanted);
    }

    #[test]
    fn waits_follow_the_schedule_to_its_end() {
        let schedule = [5, 300];
        assert_eq!(wait_after(1, &schedule, 0), Some(Duration::from_secs(5)));
        let longest = wait_after(2, &schedule, 255).unwrap();
        assert!(longest > Duration::from_secs(329) && longest < Duration::from_secs(330), "{longest:?}");
        assert_eq!(wait_after(3, &schedule, 0), None);
        assert_eq!(wait_after(0, &schedule, 0), None);
    }
}
