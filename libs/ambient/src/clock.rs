//! The time of day.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use time::OffsetDateTime;

/// Tells the time. Clones share it.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    /// The system's time moved by so many milliseconds.
    Shifted(Arc<AtomicI64>),
    /// Stands still until a test moves it; milliseconds since 1970.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `at` until [`Clock::advance`] moves it.
    pub fn fixed(at: OffsetDateTime) -> Self {
        Self(Source::Fixed(Arc::new(AtomicI64::new(millis(at)))))
    }

    /// The machine's clock, which [`Clock::advance`] can move: for tests of a running platform.
    pub fn shifted() -> Self {
        Self(Source::Shifted(Arc::new(AtomicI64::new(0))))
    }

    /// Now, in UTC, to the millisecond: what every store and wire format of ours keeps.
    pub fn now(&self) -> OffsetDateTime {
        let millis = match &self.0 {
            Source::System => system_millis(),
            Source::Shifted(by) => system_millis() + by.load(Ordering::Relaxed),
            Source::Fixed(at) => at.load(Ordering::Relaxed),
        };
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// Milliseconds since 1970.
    pub fn millis(&self) -> i64 {
        millis(self.now())
    }

    /// Moves a fixed or shifted clock forward; the machine's own does not move.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        match &self.0 {
            Source::System => {}
            Source::Shifted(at) | Source::Fixed(at) => {
                at.fetch_add(by, Ordering::Relaxed);
            }
        }
    }
}

fn millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

#[allow(clippy::disallowed_methods, reason = "the one place that asks the machine")]
fn system_millis() -> i64 {
    millis(OffsetDateTime::now_utc())
}
