//! The clock by which sessions end.

use lethe_ambient::Clock;
use time::OffsetDateTime;

use crate::domain::session::Lifetimes;

/// A clock and how long sessions last.
#[derive(Debug, Clone)]
pub(crate) struct SessionClock {
    clock: Clock,
    lifetimes: Lifetimes,
}

impl SessionClock {
    /// From both.
    pub(crate) fn new(clock: Clock, lifetimes: Lifetimes) -> Self {
        Self { clock, lifetimes }
    }

    /// Now.
    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Sessions that were last seen then, or before, are over.
    pub(crate) fn idle_since(&self) -> OffsetDateTime {
        self.now() - self.lifetimes.idle
    }

    /// When a session that begins now ends at the latest.
    pub(crate) fn expires_at(&self) -> OffsetDateTime {
        self.now() + self.lifetimes.absolute
    }

    /// When a session ends if it is not used again.
    pub(crate) fn end(&self, last_seen_at: OffsetDateTime, expires_at: OffsetDateTime) -> OffsetDateTime {
        self.lifetimes.end(last_seen_at, expires_at)
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self, last_seen_at: OffsetDateTime, expires_at: OffsetDateTime) -> bool {
        self.end(last_seen_at, expires_at) <= self.now()
    }
}
