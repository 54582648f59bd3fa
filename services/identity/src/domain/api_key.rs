//! What an API key is made with: a name, scopes that its maker may give, a limit, an end.

use lethe_access::{Permission, Principal};
use lethe_ambient::Sensitive;
use time::OffsetDateTime;

use super::Invalid;

/// The longest name, in characters.
const LONGEST_NAME: usize = 100;
/// The most requests a minute that a key may be given.
const MOST_PER_MINUTE: u32 = 600_000;

/// What a key may do: at least one permission, in the order of their numbers, none twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(Vec<Permission>);

impl Scopes {
    /// The scopes of these numbers, as far as `maker` may give them.
    ///
    /// # Errors
    /// At `scopes`: none, one that is unknown or no key may have, one that its maker does not have.
    pub fn parse(numbers: &[i32], maker: &Principal) -> Result<Self, Invalid> {
        let wrong = |message| Err(Invalid::new("scopes", message));
        let mut scopes = Vec::with_capacity(numbers.len());
        for number in numbers {
            match Permission::try_from(*number) {
                Ok(Permission::OwnAccount | Permission::ApiKeys) => {
                    return wrong("holds a permission that no key may have: own_account, api_keys");
                }
                Ok(scope) if scope != Permission::Unspecified => scopes.push(scope),
                _ => return wrong("holds a permission that does not exist"),
            }
        }
        if !scopes.iter().all(|scope| maker.allows(*scope)) {
            return wrong("holds a permission that you do not have yourself");
        }
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() { wrong("must hold at least one permission") } else { Ok(Self(scopes)) }
    }

    /// As a column holds them. A number that is no permission gives nothing.
    pub fn from_numbers(numbers: &[i16]) -> Self {
        Self(numbers.iter().filter_map(|number| Permission::try_from(i32::from(*number)).ok()).collect())
    }

    /// For a column.
    pub fn numbers(&self) -> Vec<i16> {
        self.0.iter().filter_map(|scope| i16::try_from(*scope as i32).ok()).collect()
    }

    /// All of them.
    pub fn as_slice(&self) -> &[Permission] {
        &self.0
    }
}

/// What a key is called: 1 to 100 characters, none of them a control character.
pub struct KeyName(Sensitive<String>);

impl KeyName {
    /// Reads one.
    ///
    /// # Errors
    /// At `name`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > LONGEST_NAME || text.chars().any(char::is_control) {
            return Err(Invalid::new("name", "must be 1 to 100 characters"));
        }
        Ok(Self(text.to_owned().into()))
    }

    /// The name itself.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// The limit that is asked for; 0 is none.
///
/// # Errors
/// At `requests_per_minute`: over 600,000.
pub fn per_minute(asked: u32) -> Result<Option<u32>, Invalid> {
    match asked {
        0 => Ok(None),
        1..=MOST_PER_MINUTE => Ok(Some(asked)),
        _ => Err(Invalid::new("requests_per_minute", "must be between 1 and 600,000")),
    }
}

/// The end that is asked for.
///
/// # Errors
/// At `expires_at`: not in the future.
pub fn end(asked: Option<OffsetDateTime>, now: OffsetDateTime) -> Result<Option<OffsetDateTime>, Invalid> {
    match asked {
        Some(end) if end <= now => Err(Invalid::new("expires_at", "must be in the future")),
        end => Ok(end),
    }
}

#[cfg(test)]
mod tests {
    use lethe_access::{Role, Who};
    use lethe_ids::{MemberId, SessionId, TenantId};
    use uuid::Uuid;

    use super::*;

    fn maker(role: Role) -> Principal {
        let id = Uuid::from_u128(1);
        let who = Who::Member {
            member: MemberId::new(id),
            session: SessionId::new(id),
            roles: [role].into(),
            must_change_password: false,
        };
        Principal { tenant: TenantId::new(id), who, issued_at_ms: 0, expires_at_ms: 1 }
    }

    fn parse(scopes: &[Permission], role: Role) -> Result<Scopes, Invalid> {
        Scopes::parse(&scopes.iter().map(|scope| i32::from(*scope)).collect::<Vec<_>>(), &maker(role))
    }

    #[test]
    fn a_key_may_do_no_more_than_its_maker() {
        use Permission as P;
        let scopes = parse(&[P::Send, P::ReadInbox, P::Send], Role::Admin).unwrap();
        assert_eq!(scopes.as_slice(), [P::ReadInbox, P::Send], "in order, and once");
        assert_eq!(Scopes::from_numbers(&scopes.numbers()), scopes);
        assert!(parse(&[P::Billing], Role::Owner).is_ok() && parse(&[P::Billing], Role::Admin).is_err());
        for none in [P::OwnAccount, P::ApiKeys, P::Unspecified] {
            assert!(parse(&[none], Role::Owner).is_err(), "{none:?}");
        }
        assert!(parse(&[], Role::Owner).is_err() && Scopes::parse(&[99], &maker(Role::Owner)).is_err());
    }

    #[test]
    fn a_name_a_limit_and_an_end_have_their_bounds() {
        assert_eq!(KeyName::parse(" Import ").unwrap().expose(), "Import");
        assert!(KeyName::parse(&"x".repeat(100)).is_ok() && KeyName::parse(&"x".repeat(101)).is_err());
        assert!(KeyName::parse("  ").is_err() && KeyName::parse("a\0b").is_err());
        assert_eq!(per_minute(0), Ok(None));
        assert!(per_minute(600_000).is_ok() && per_minute(600_001).is_err());
        let now = OffsetDateTime::UNIX_EPOCH;
        assert!(end(Some(now), now).is_err() && end(None, now).is_ok());
    }
}
