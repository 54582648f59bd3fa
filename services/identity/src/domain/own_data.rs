//! What kinds of data are kept of a member, and what is to be said of each (Art. 15(1)): what it is for, who gets it, how long it is
//! kept, where it came from. The tenant is the controller; nothing leaves it and its processor.

use serde_json::Value;

/// A kind of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// Name, addresses, roles.
    Profile,
    /// What he logs in by: secrets, of which no copy is given.
    Credential,
    /// His photo.
    Photo,
    /// A team that he is in.
    Team,
    /// Where he is logged in.
    Session,
    /// A log-in that was tried.
    LogIn,
    /// What he did, and what others did to him.
    AuditEvent,
    /// What he asked about his own data.
    Request,
    /// An API key that he made.
    ApiKey,
    /// A key that made one of his requests safe to repeat.
    IdempotencyKey,
    /// From when on his rights had to be looked up anew.
    Revocation,
}

/// How long some things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Periods {
    /// Log-in records, in days.
    pub log_in_records_days: u32,
    /// Idempotency keys, in hours.
    pub idempotency_hours: u32,
    /// API keys after their revocation, in days.
    pub api_keys_days: u32,
}

/// What is said of a category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// What it is for.
    pub purpose: &'static str,
    /// Who gets it.
    pub recipients: &'static str,
    /// How long it is kept.
    pub kept: String,
    /// Where it came from.
    pub source: &'static str,
}

impl Category {
    /// All there are.
    pub const ALL: [Self; 11] = [
        Self::Profile,
        Self::Credential,
        Self::Photo,
        Self::Team,
        Self::Session,
        Self::LogIn,
        Self::AuditEvent,
        Self::Request,
        Self::ApiKey,
        Self::IdempotencyKey,
        Self::Revocation,
    ];

    /// By its word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.word() == word)
    }

    /// As callers and the store have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Credential => "credential",
            Self::Photo => "photo",
            Self::Team => "team",
            Self::Session => "session",
            Self::LogIn => "log_in",
            Self::AuditEvent => "audit_event",
            Self::Request => "request",
            Self::ApiKey => "api_key",
            Self::IdempotencyKey => "idempotency_key",
            Self::Revocation => "revocation",
        }
    }

    /// What is said of it.
    pub fn about(self, periods: Periods) -> About {
        const COLLEAGUES: &str = "members of the tenant who may read the inbox";
        const AUDITORS: &str = "members of the tenant who may read the audit trail";
        const NOBODY: &str = "nobody";
        const WHO_MANAGES: &str = "members of the tenant who manage members";
        const TENANT: &str = "the tenant";
        let (purpose, recipients, source) = match self {
            Self::Profile => (
                "to log in, to decide what the member may do, and to show who writes",
                COLLEAGUES,
                "the tenant, and the member",
            ),
            Self::Credential => (
                "to log in: a hash of the password, and a keyed hash of the e-mail address by which log-in finds the member; secrets, of which no copy is given",
                NOBODY,
                "the member",
            ),
            Self::Photo => ("to show who writes", COLLEAGUES, "the member, or the tenant"),
            Self::Team => ("to divide the work", COLLEAGUES, TENANT),
            Self::Session => ("to keep the member logged in", WHO_MANAGES, "the member's browser"),
            Self::LogIn => ("to notice and investigate abuse", AUDITORS, "the member's browser"),
            Self::AuditEvent => (
                "to show who did what, when (Art. 5(2), Art. 32)",
                AUDITORS,
                "what the member did, and what others did to him",
            ),
            Self::Request => (
                "to answer it in time, and to show that it was answered (Art. 12)",
                "members of the tenant who may erase",
                "the member, and who answered",
            ),
            Self::ApiKey => (
                "to show who made which program's key",
                "members of the tenant who manage API keys",
                "the member",
            ),
            Self::IdempotencyKey => ("to make a request safe to repeat", NOBODY, "the member's client"),
            Self::Revocation => (
                "to end what a member may no longer do, at once and everywhere",
                NOBODY,
                "who changed the member's rights or password",
            ),
        };
        let kept = match self {
            Self::Profile | Self::Credential | Self::Team => "until the member is erased".to_owned(),
            Self::Photo => "until it is replaced or deleted, or the member is erased".to_owned(),
            Self::Session => "until it ends".to_owned(),
            Self::LogIn => format!("{} days", periods.log_in_records_days),
            Self::AuditEvent => "as long as the tenant's audit trail".to_owned(),
            Self::Request => {
                "its words until the member is erased; that it was made and answered, as long as the tenant is".to_owned()
            }
            Self::ApiKey => format!("{} days after its revocation", periods.api_keys_days),
            Self::IdempotencyKey => format!("{} hours", periods.idempotency_hours),
            Self::Revocation => "10 minutes".to_owned(),
        };
        About { purpose, recipients, kept, source }
    }
}

/// A value as text: several with commas between. `None` for what is not set.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Array(values) => {
            let texts: Vec<String> = values.iter().filter_map(text).collect();
            (!texts.is_empty()).then(|| texts.join(","))
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => Some(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_category_has_a_word_of_its_own_and_says_everything() {
        let periods = Periods { log_in_records_days: 90, idempotency_hours: 24, api_keys_days: 91 };
        for category in Category::ALL {
            assert_eq!(Category::of(category.word()), Some(category));
            let About { purpose, recipients, kept, source } = category.about(periods);
            assert!([purpose, recipients, &kept, source].iter().all(|said| !said.is_empty()));
        }
        assert_eq!(Category::of("nothing"), None);
        assert_eq!(Category::LogIn.about(periods).kept, "90 days");
    }

    #[test]
    fn what_is_not_set_is_no_text() {
        for (value, expected) in [
            (json!(null), None),
            (json!(""), None),
            (json!([]), None),
            (json!("a"), Some("a")),
            (json!(true), Some("true")),
            (json!(7), Some("7")),
            (json!([1, "b"]), Some("1,b")),
        ] {
            assert_eq!(text(&value).as_deref(), expected);
        }
    }
}
