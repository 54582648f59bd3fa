//! Ids with a type. A `ContactId` is not a `MessageId`, prints as `con_` and 32 hex digits, and is a UUID
//! of version 7 (RFC 9562) wherever order by time helps. Ids are pseudonymous: they may stand in logs of
//! ours, in URLs and on the bus.
//!
//! New ids are made by `ambient::Entropy::uuid7` and friends, never here.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// A text that is not an id of the wanted kind. Never quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an id that begins with {prefix}_")]
pub struct NotAnId {
    /// The prefix of the kind that was wanted.
    pub prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// What its text begins with, before the underscore.
            pub const PREFIX: &'static str = $prefix;
            /// Wraps a UUID that is known to be of this kind: from the database, or new.
            pub const fn new(uuid: Uuid) -> Self { Self(uuid) }
            /// The bare UUID, for the database.
            pub const fn uuid(self) -> Uuid { self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(self, f) }
        }
        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> { parse($prefix, text).map(Self) }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.collect_str(self) }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A tenant: the business that uses Lethe, the controller.
    TenantId "ten";
    /// A member of a tenant.
    MemberId "mem";
    /// A team: a group of members.
    TeamId "tem";
    /// A member's session.
    SessionId "ses";
    /// An API key: a program of the tenant's that signs its requests.
    ApiKeyId "key";
    /// An operator's access to a tenant's data: asked for, granted, ended.
    OperatorAccessId "opa";
    /// What a member asks about his own data.
    MemberRequestId "mrq";
    /// A log-in that was tried.
    LogInRecordId "lgn";
    /// A contact: the tenant's customer, the data subject.
    ContactId "con";
    /// The holder of a subject secret. Immutable on every row; a contact is a set of subjects.
    SubjectId "sub";
    /// The holder of a unit secret: a profile, a conversation and month, an attachment.
    UnitId "unt";
    /// A conversation.
    ConversationId "cnv";
    /// A message.
    MessageId "msg";
    /// A rating of a conversation.
    RatingId "rat";
    /// A label of a tenant's catalogue.
    LabelId "lbl";
    /// A consent given or withdrawn.
    ConsentId "cns";
    /// An import of contacts or conversations in bulk.
    ImportId "imp";
    /// Where a tenant wants to hear of its events.
    WebhookEndpointId "whe";
    /// One event on its way to one endpoint.
    WebhookDeliveryId "whd";
    /// What an erasure is about. Random, never used again.
    ScopeId "scp";
    /// An erasure.
    ErasureId "era";
    /// A legal hold.
    HoldId "hld";
    /// A certificate.
    CertificateId "crt";
    /// An audit event.
    AuditId "aud";
    /// A notification on the bus (`ce-id`).
    EventId "evt";
}

/// Exactly `<prefix>_` and 32 lower-case hex digits, so that one id has one text.
fn parse(prefix: &'static str, text: &str) -> Result<Uuid, NotAnId> {
    let wrong = NotAnId { prefix };
    let hex = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).ok_or(wrong)?;
    if hex.len() != 32 || hex.bytes().any(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(wrong);
    }
    Uuid::try_parse(hex).map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_text() {
        let id = ContactId::new(Uuid::from_u128(0x0199_aabb_ccdd_7eef_8123_4567_89ab_cdef));
        assert_eq!(id.to_string(), "con_0199aabbccdd7eef8123456789abcdef");
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in [
            "msg_0199aabbccdd7eef8123456789abcdef",
            "con_0199AABBCCDD7EEF8123456789ABCDEF",
            "con_0199aabb-ccdd-7eef-8123-456789abcdef",
            "con_0199aabbccdd7eef8123456789abcde",
            "con_",
            "",
        ] {
            assert_eq!(wrong.parse::<ContactId>(), Err(NotAnId { prefix: "con" }), "{wrong}");
        }
    }
}
