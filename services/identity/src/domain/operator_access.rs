//! What an operator of the platform may be granted: for a reason, a ticket and some hours, within some permissions. Never more
//! than reading and rectifying: what would outlast the hours (members, roles, keys, webhooks, settings, the plan, holds), what
//! cannot be undone (erasures) and what speaks for the tenant (messages) stays the tenant's.

use std::fmt;

use lethe_access::Permission;
use lethe_proto::identity::{OperatorAccessReason, OperatorAccessState};
use time::{Duration, OffsetDateTime};

use super::Invalid;

/// The longest that an access lasts, in hours.
pub const LONGEST_HOURS: u32 = 72;
/// How long a request waits for the tenant's answer.
pub const LONGEST_WAIT: Duration = Duration::days(7);
const LONGEST_TEXT: usize = 64;

/// What is granted when nothing else is said.
const READING: [Permission; 3] = [Permission::ReadInbox, Permission::ReadErasures, Permission::ReadAudit];
/// What can be granted at all.
const GRANTABLE: [Permission; 5] = [
    Permission::ReadInbox,
    Permission::Edit,
    Permission::UserData,
    Permission::ReadErasures,
    Permission::ReadAudit,
];

/// Where an access stands, as its row says it; that its time is over, the clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for the tenant.
    Requested = 1,
    /// Granted.
    Granted = 2,
    /// Refused.
    Denied = 3,
    /// Ended by the tenant.
    Revoked = 4,
}

impl State {
    /// From the database.
    pub fn of(number: i16) -> Option<Self> {
        let all = [Self::Requested, Self::Granted, Self::Denied, Self::Revoked];
        all.into_iter().find(|state| *state as i16 == number)
    }

    /// As it is at `now`: a request that nobody answers lapses, a grant ends.
    pub fn at(
        self,
        requested_at: OffsetDateTime,
        ends_at: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> OperatorAccessState {
        let is_over = |end: OffsetDateTime| end <= now;
        match self {
            Self::Requested if is_over(requested_at + LONGEST_WAIT) => OperatorAccessState::Expired,
            Self::Granted if ends_at.is_none_or(is_over) => OperatorAccessState::Expired,
            Self::Requested => OperatorAccessState::Requested,
            Self::Granted => OperatorAccessState::Granted,
            Self::Denied => OperatorAccessState::Denied,
            Self::Revoked => OperatorAccessState::Revoked,
        }
    }
}

/// Permissions, each once, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions(Vec<Permission>);

impl Permissions {
    /// Reads a request's; none means reading.
    ///
    /// # Errors
    /// When one is none, or not for operators.
    pub fn parse(field: &'static str, numbers: &[i32]) -> Result<Self, Invalid> {
        if numbers.is_empty() {
            return Ok(Self(READING.into()));
        }
        let grantable = |number: &i32| GRANTABLE.iter().any(|permission| *permission as i32 == *number);
        if !numbers.iter().all(grantable) {
            return Err(Invalid::new(field, "holds what no operator is granted"));
        }
        Ok(Self(GRANTABLE.into_iter().filter(|one| numbers.contains(&(*one as i32))).collect()))
    }

    /// From the database. A number that this version does not grant gives nothing.
    pub fn from_numbers(numbers: &[i16]) -> Self {
        Self(GRANTABLE.into_iter().filter(|one| numbers.contains(&(*one as i16))).collect())
    }

    /// For the database.
    pub fn numbers(&self) -> Vec<i16> {
        self.0.iter().map(|permission| *permission as i16).collect()
    }

    /// All of them.
    pub fn as_slice(&self) -> &[Permission] {
        &self.0
    }

    /// Whether `other` has no more.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.iter().all(|permission| self.0.contains(permission))
    }
}

/// On what terms: what is asked for, and then what is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The operator's handle.
    pub operator: String,
    /// Why.
    pub reason: OperatorAccessReason,
    /// The ticket's reference.
    pub ticket: String,
    /// To do what.
    pub permissions: Permissions,
    /// For how long.
    pub hours: i16,
}

impl Terms {
    /// Checks a request's.
    ///
    /// # Errors
    /// Names the field that does not fit.
    pub fn new(
        operator: &str,
        reason: i32,
        ticket: &str,
        permissions: &[i32],
        hours: u32,
    ) -> Result<Self, Invalid> {
        let handle = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        if !(1..=LONGEST_TEXT).contains(&operator.len()) || !operator.bytes().all(handle) {
            return Err(Invalid::new("operator", "must be 1 to 64 of a-z, 0-9, . _ and -"));
        }
        let reference =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'#' | b'-');
        if !(1..=LONGEST_TEXT).contains(&ticket.len()) || !ticket.bytes().all(reference) {
            return Err(Invalid::new("ticket", "must be 1 to 64 of A-Z, a-z, 0-9, . _ / # and -"));
        }
        let reason = OperatorAccessReason::try_from(reason).unwrap_or_default();
        if reason == OperatorAccessReason::Unspecified {
            return Err(Invalid::new("reason", "must be support, incident, maintenance or legal"));
        }
        Ok(Self {
            operator: operator.to_owned(),
            reason,
            ticket: ticket.to_owned(),
            permissions: Permissions::parse("permissions", permissions)?,
            hours: hours_of("hours", hours)?,
        })
    }

    /// The reason's code, as the tenant sees it.
    pub fn reason_word(&self) -> String {
        self.reason.as_str_name().trim_start_matches("OPERATOR_ACCESS_REASON_").to_lowercase()
    }

    /// As many permissions and hours, or fewer; nothing given means as many.
    ///
    /// # Errors
    /// Names the field that would be more.
    pub fn narrowed(&self, permissions: &[i32], hours: u32) -> Result<(Permissions, i16), Invalid> {
        let permissions = match permissions {
            [] => self.permissions.clone(),
            some => Permissions::parse("permissions", some)?,
        };
        let hours = if hours == 0 { self.hours } else { hours_of("hours", hours)? };
        if !self.permissions.contains(&permissions) {
            return Err(Invalid::new("permissions", "holds what was not asked for"));
        }
        if hours > self.hours {
            return Err(Invalid::new("hours", "is longer than was asked for"));
        }
        Ok((permissions, hours))
    }
}

/// For the audit trail: codes, and nobody's name.
impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reason={} ticket={} hours={} permissions=", self.reason_word(), self.ticket, self.hours)?;
        for (at, permission) in self.permissions.0.iter().enumerate() {
            let word = permission.as_str_name().trim_start_matches("PERMISSION_").to_lowercase();
            write!(f, "{}{word}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

fn hours_of(field: &'static str, hours: u32) -> Result<i16, Invalid> {
    match i16::try_from(hours) {
        Ok(fits) if (1..=LONGEST_HOURS).contains(&hours) => Ok(fits),
        _ => Err(Invalid::new(field, "must be 1 to 72")),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn terms(permissions: &[Permission], hours: u32) -> Result<Terms, Invalid> {
        let permissions: Vec<i32> = permissions.iter().map(|one| *one as i32).collect();
        Terms::new("j.doe", OperatorAccessReason::Support as i32, "T-1", &permissions, hours)
    }

    #[test]
    fn terms_have_bounds() {
        let field = |terms: Result<Terms, Invalid>| terms.unwrap_err().field;
        assert_eq!(terms(&[], 4).unwrap().permissions.as_slice(), READING);
        assert!(terms(&[], 72).is_ok());
        assert_eq!(field(terms(&[], 73)), "hours");
        assert_eq!(field(terms(&[], 0)), "hours");
        use Permission as P;
        let never =
            [P::Send, P::Erase, P::AppSettings, P::Billing, P::Members, P::OwnAccount, P::ApiKeys, P::Holds];
        for never in never {
            assert_eq!(field(terms(&[Permission::ReadInbox, never], 1)), "permissions");
        }
        let support = OperatorAccessReason::Support as i32;
        assert_eq!(field(Terms::new("J Doe", support, "T-1", &[], 1)), "operator");
        assert_eq!(field(Terms::new("jdoe", 0, "T-1", &[], 1)), "reason");
        assert_eq!(field(Terms::new("jdoe", 99, "T-1", &[], 1)), "reason");
        assert_eq!(field(Terms::new("jdoe", support, "", &[], 1)), "ticket");
    }

    #[test]
    fn what_is_approved_is_no_more_than_was_asked_for() {
        let asked = terms(&[Permission::ReadInbox, Permission::Edit], 8).unwrap();
        assert_eq!(asked.narrowed(&[], 0).unwrap(), (asked.permissions.clone(), 8));
        assert_eq!(asked.to_string(), "reason=support ticket=T-1 hours=8 permissions=read_inbox,edit");
        let (less, hours) = asked.narrowed(&[Permission::ReadInbox as i32], 2).unwrap();
        assert_eq!((less.as_slice(), hours), (&[Permission::ReadInbox][..], 2));
        assert_eq!(asked.narrowed(&[Permission::Send as i32], 0).unwrap_err().field, "permissions");
        assert_eq!(asked.narrowed(&[], 9).unwrap_err().field, "hours");
    }

    #[test]
    fn a_request_lapses_and_a_grant_ends() {
        let asked = datetime!(2026-11-22 10:00 UTC);
        let (end, moment) = (asked + Duration::hours(1), Duration::milliseconds(1));
        let granted = |now| State::Granted.at(asked, Some(end), now);
        assert_eq!(granted(end - moment), OperatorAccessState::Granted);
        assert_eq!(granted(end), OperatorAccessState::Expired);
        let requested = |now| State::Requested.at(asked, None, now);
        assert_eq!(requested(asked + LONGEST_WAIT - moment), OperatorAccessState::Requested);
        assert_eq!(requested(asked + LONGEST_WAIT), OperatorAccessState::Expired);
        let later = end + LONGEST_WAIT;
        assert_eq!(State::Denied.at(asked, None, later), OperatorAccessState::Denied);
        assert_eq!(State::Revoked.at(asked, Some(end), later), OperatorAccessState::Revoked);
    }
}
