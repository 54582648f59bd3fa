//! The registry of events: every kind that may be put, and where its payload carries the version.

/// One kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// `messaging.message.changed`: area, noun, past verb.
    pub name: &'static str,
    /// Its message in `lethe.event.v1`.
    pub message: &'static str,
    /// The number of the payload's `Version` field, which the relay fills in.
    pub version_field: Option<u32>,
}

/// The names of the kinds, for `Event::kind` and for a consumer's list.
pub mod kind {
    /// A contact changed, or is gone.
    pub const CONTACT_CHANGED: &str = "messaging.contact.changed";
    /// A conversation changed, or is gone.
    pub const CONVERSATION_CHANGED: &str = "messaging.conversation.changed";
    /// A message was accepted, edited or deleted.
    pub const MESSAGE_CHANGED: &str = "messaging.message.changed";
    /// An erasure moved to another state.
    pub const ERASURE_ADVANCED: &str = "retention.erasure.advanced";
    /// Somebody did something in identity.
    pub const IDENTITY_AUDIT_RECORDED: &str = "identity.audit.recorded";
    /// Somebody did something in messaging.
    pub const MESSAGING_AUDIT_RECORDED: &str = "messaging.audit.recorded";
    /// Somebody did something in search.
    pub const SEARCH_AUDIT_RECORDED: &str = "search.audit.recorded";
    /// Somebody did something in retention.
    pub const RETENTION_AUDIT_RECORDED: &str = "retention.audit.recorded";
}

const fn of(name: &'static str, message: &'static str, version_field: Option<u32>) -> Kind {
    Kind { name, message, version_field }
}

/// Every kind. A test holds it against `lethe.event.v1`.
pub const KINDS: &[Kind] = &[
    of(kind::CONTACT_CHANGED, "ContactChanged", Some(2)),
    of(kind::CONVERSATION_CHANGED, "ConversationChanged", Some(3)),
    of(kind::MESSAGE_CHANGED, "MessageChanged", Some(4)),
    of(kind::ERASURE_ADVANCED, "ErasureAdvanced", Some(3)),
    of(kind::IDENTITY_AUDIT_RECORDED, "AuditRecorded", None),
    of(kind::MESSAGING_AUDIT_RECORDED, "AuditRecorded", None),
    of(kind::SEARCH_AUDIT_RECORDED, "AuditRecorded", None),
    of(kind::RETENTION_AUDIT_RECORDED, "AuditRecorded", None),
];

/// The kind of that name.
pub(crate) fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
