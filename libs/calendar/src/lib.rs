//! When the request of a data subject is due: one month from receipt (Art. 12(3) GDPR), counted as Regulation (EEC, Euratom)
//! 1182/71 counts. The same for a contact's erasure and for what a member asks.
//!
//! A period in months ends on the same date of the next month, or on that month's last day where there is no such date; if
//! that is a Saturday, Sunday or public holiday, with the end of the next working day. Thirty days is another period and
//! often a later one. Which days are holidays is data (each service's `config.default.toml`), since it depends on the place.

use std::collections::BTreeSet;

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Weekday},
    tz::TimeZone,
};
use serde::Deserialize;
use time::OffsetDateTime;

/// The section `calendar` of a service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarConfig {
    /// A name of the IANA time zone database.
    pub time_zone: String,
    /// `MM-DD`, `easter+N`, `easter-N`, `YYYY-MM-DD`.
    pub holidays: Vec<String>,
}

/// Where receipt is dated and working days are counted.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: TimeZone,
    holidays: BTreeSet<Holiday>,
}

/// A rule that gives at most one day a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Holiday {
    /// The same month and day each year.
    Yearly { month: i8, day: i8 },
    /// So many days after Easter Sunday of the Gregorian calendar.
    Easter { after: i16 },
    /// One day, once.
    Once(Date),
}

/// A calendar that the configuration does not describe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// Not a name of the IANA time zone database.
    #[error("{0:?} is no time zone of the IANA database")]
    Zone(String),
    /// Not `MM-DD`, `easter+N`, `easter-N` or `YYYY-MM-DD`.
    #[error("{0:?} is no holiday: want MM-DD, easter+N, easter-N or YYYY-MM-DD")]
    Holiday(String),
    /// Receipt too far from our time to count a month from.
    #[error("the date of receipt is outside the calendar")]
    OutOfRange,
}

impl Calendar {
    /// Reads a zone's name and holidays written as `MM-DD`, `easter+N`, `easter-N` or `YYYY-MM-DD`.
    ///
    /// # Errors
    /// Names the text that is neither.
    pub fn new(zone: &str, holidays: &[String]) -> Result<Self, CalendarError> {
        Ok(Self {
            zone: TimeZone::get(zone).map_err(|_| CalendarError::Zone(zone.to_owned()))?,
            holidays: holidays
                .iter()
                .map(|text| Holiday::parse(text).ok_or_else(|| CalendarError::Holiday(text.clone())))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The last second in which an answer to a request received then is in time.
    ///
    /// # Errors
    /// [`CalendarError::OutOfRange`] for receipt thousands of years from now.
    pub fn due_at(&self, received_at: OffsetDateTime) -> Result<OffsetDateTime, CalendarError> {
        let out_of_range = |_| CalendarError::OutOfRange;
        let received = Timestamp::from_second(received_at.unix_timestamp()).map_err(out_of_range)?;
        let day = self.effective(received.to_zoned(self.zone.clone()).date())?;
        let end = day.at(23, 59, 59, 0).to_zoned(self.zone.clone()).map_err(out_of_range)?;
        OffsetDateTime::from_unix_timestamp(end.timestamp().as_second())
            .map_err(|_| CalendarError::OutOfRange)
    }

    /// The day with whose end a period of one month from `received` ends.
    fn effective(&self, received: Date) -> Result<Date, CalendarError> {
        let mut day = received.checked_add(1.month()).map_err(|_| CalendarError::OutOfRange)?;
        while !self.is_working_day(day) {
            day = day.tomorrow().map_err(|_| CalendarError::OutOfRange)?;
        }
        Ok(day)
    }

    fn is_working_day(&self, day: Date) -> bool {
        !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
            && !self.holidays.iter().any(|holiday| holiday.in_year(day.year()) == Some(day))
    }
}

impl Holiday {
    fn parse(text: &str) -> Option<Self> {
        if let Some(after) = text.strip_prefix("easter") {
            let after = after.starts_with(['+', '-']).then(|| after.parse().ok())??;
            return (-60..=120).contains(&after).then_some(Self::Easter { after });
        }
        if text.len() == 10 {
            return text.parse().ok().map(Self::Once);
        }
        let (month, day) = text.split_once('-')?;
        let holiday = Self::Yearly { month: month.parse().ok()?, day: day.parse().ok()? };
        // 2024 has a 29 February, so every date that some year has is accepted.
        (text.len() == 5 && holiday.in_year(2024).is_some()).then_some(holiday)
    }

    fn in_year(self, year: i16) -> Option<Date> {
        match self {
            Self::Yearly { month, day } => Date::new(year, month, day).ok(),
            Self::Easter { after } => easter_sunday(year)?.checked_add(i32::from(after).days()).ok(),
            Self::Once(date) => (date.year() == year).then_some(date),
        }
    }
}

/// Easter Sunday of the Gregorian calendar, by the algorithm of Meeus, Jones and Butcher.
fn easter_sunday(year: i16) -> Option<Date> {
    let y = i32::from(year);
    let (a, b, c) = (y % 19, y / 100, y % 100);
    let (d, e) = (b / 4, b % 4);
    let g = (b - (b + 8) / 25 + 1) / 3;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let n = h + l - 7 * m + 114;
    Date::new(year, i8::try_from(n / 31).ok()?, i8::try_from(n % 31 + 1).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{
        format_description::well_known::Rfc3339,
        macros::{date, datetime},
    };

    use super::*;

    fn calendar(zone: &str, holidays: &[&str]) -> Calendar {
        Calendar::new(zone, &holidays.iter().map(|&text| text.to_owned()).collect::<Vec<_>>()).unwrap()
    }

    /// The vectors of the law, each on its own received date.
    #[test]
    fn due_at_counts_a_month_and_not_thirty_days() {
        let calendar = calendar("UTC", &["easter+1"]);
        for (received, due) in [
            ("2025-01-31", "2025-02-28"),
            ("2026-01-31", "2026-03-02"),
            ("2027-01-31", "2027-03-01"),
            ("2028-01-31", "2028-02-29"),
            ("2026-03-05", "2026-04-07"),
            ("2026-08-31", "2026-09-30"),
        ] {
            let received_at = OffsetDateTime::parse(&format!("{received}T12:00:00Z"), &Rfc3339).unwrap();
            let due_at = calendar.due_at(received_at).unwrap();
            assert_eq!(due_at.format(&Rfc3339).unwrap(), format!("{due}T23:59:59Z"), "received {received}");
        }
    }

    #[test]
    fn due_at_ends_on_easter_monday_where_it_is_a_working_day() {
        let due = calendar("UTC", &[]).due_at(datetime!(2026-03-05 12:00 UTC)).unwrap();
        assert_eq!(due.date(), date!(2026 - 04 - 06));
    }

    #[test]
    fn due_at_dates_receipt_where_the_controller_is() {
        // 23:30 UTC on 30 June is 1 July in Berlin; the day there ends at 22:00 UTC in summer.
        let received = datetime!(2026-06-30 23:30 UTC);
        assert_eq!(
            calendar("Europe/Berlin", &[]).due_at(received),
            Ok(datetime!(2026-08-03 21:59:59 UTC)),
            "1 August 2026 is a Saturday"
        );
        assert_eq!(calendar("UTC", &[]).due_at(received), Ok(datetime!(2026-07-30 23:59:59 UTC)));
    }

    #[test]
    fn easter_sunday_as_published() {
        for (year, month, day) in [(2024, 3, 31), (2025, 4, 20), (2026, 4, 5), (2027, 3, 28), (2038, 4, 25)] {
            assert_eq!(easter_sunday(year), Date::new(year, month, day).ok());
        }
    }

    #[test]
    fn a_calendar_names_what_it_cannot_read() {
        assert_eq!(
            Calendar::new("Mars/Olympus", &[]).unwrap_err(),
            CalendarError::Zone("Mars/Olympus".to_owned())
        );
        for wrong in ["13-01", "easter", "easter1", "easter+x", "02-30", "2026-02-30", "1-1", ""] {
            assert_eq!(
                Calendar::new("UTC", &[wrong.to_owned()]).unwrap_err(),
                CalendarError::Holiday(wrong.to_owned())
            );
        }
        calendar("UTC", &["02-29", "2026-05-14", "easter-2", "easter+50"]);
    }

    proptest! {
        /// Never before the month is over, never on a day off, and never more than the longest run of days off later.
        #[test]
        fn due_at_is_a_working_day_after_the_month(second in 946_684_800_i64..4_102_444_800) {
            let calendar = calendar("UTC", &["01-01", "easter-2", "easter+1", "12-25", "12-26"]);
            let received = Timestamp::from_second(second).unwrap().to_zoned(TimeZone::UTC).date();
            let month = received.checked_add(1.month()).unwrap();
            let due = calendar.effective(received).unwrap();
            prop_assert!(calendar.is_working_day(due));
            prop_assert!(due >= month && due <= month.checked_add(5.days()).unwrap());
        }
    }
}
