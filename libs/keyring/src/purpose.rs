//! What a sealed value is. A number is given once and never used again, so that tables and columns may be renamed and
//! an old ciphertext still cannot be taken for something else.

macro_rules! purposes {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What a sealed value is for. Each has a data key of its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Purpose { $($(#[$doc])* $name = $number,)* }

        impl Purpose {
            /// All there are, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The purpose with this number.
            pub const fn of(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

purposes! {
    /// A contact's names, addresses, tags, custom fields.
    ContactProfile = 1,
    /// The text of a message.
    MessageText = 2,
    /// A member's name and addresses.
    MemberProfile = 3,
    /// Where a log-in came from.
    LogInRecord = 4,
    /// The words that go with a consent.
    ConsentNote = 5,
    /// The client that a session was opened from.
    SessionClient = 6,
    /// A participant's frozen list of what an erasure must reach.
    Census = 7,
    /// A tenant's name and settings.
    TenantProfile = 8,
    /// The subject line of a conversation, and what else describes it.
    ConversationProfile = 9,
    /// The words that go with an erasure, a hold or a restriction.
    ErasureNote = 10,
    /// What an audit event says beyond codes and ids.
    AuditNote = 11,
    /// A secret that must be read back: a TOTP seed, an OAuth token.
    Credential = 12,
    /// A contact's picture.
    ContactPicture = 13,
    /// A member's photo.
    MemberPhoto = 14,
    /// What a contact wrote beside its stars.
    RatingComment = 15,
    /// The address of a webhook's receiver, and how the tenant describes it.
    WebhookEndpoint = 16,
    /// The words of a member's request about his own data, and of its answer.
    MemberRequest = 17,
}

impl Purpose {
    /// Its number in headers and derivations.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Its place in a table with one entry a purpose.
    pub(crate) const fn index(self) -> usize {
        self as usize - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_purpose_and_back() {
        for (index, purpose) in Purpose::ALL.iter().enumerate() {
            assert_eq!(purpose.index(), index, "numbers have no gaps");
            assert_eq!(Purpose::of(purpose.number()), Some(*purpose));
        }
        assert_eq!(Purpose::of(0), None);
        assert_eq!(Purpose::of(u16::MAX), None);
    }
}
