//! The month (UTC) that a conversation's unit secret covers.

use time::{Date, OffsetDateTime, UtcOffset};

/// A calendar month of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Month(Date);

impl Month {
    /// The month that `at` lies in.
    pub(crate) fn of(at: OffsetDateTime) -> Self {
        let day = at.to_offset(UtcOffset::UTC).date();
        Self(day.replace_day(1).unwrap_or(day))
    }

    /// Its first day, which stands for it in the database.
    pub(crate) fn first_day(self) -> Date {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime};

    use super::*;

    #[test]
    fn a_month_begins_in_utc() {
        assert_eq!(Month::of(datetime!(2026-11-30 23:59:59.999 UTC)).first_day(), date!(2026 - 11 - 01));
        assert_eq!(Month::of(datetime!(2026-12-01 00:30 +1)).first_day(), date!(2026 - 11 - 01));
        assert_eq!(Month::of(datetime!(2026-12-01 00:00 UTC)).first_day(), date!(2026 - 12 - 01));
    }
}
