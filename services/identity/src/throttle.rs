//! Slows guessing down: failed log-ins are counted by account and by address, in this process's memory. An attempt counts as
//! failed from its beginning, so that a thousand at once are not all "the first"; a success gives its count back.
//!
//! And only so many go on at a time: the ten-thousandth that comes at once is refused before it costs anything.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{Context, SHA256};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{Error, config::LogInConfig};

/// Most counters in memory, about 50 bytes each. Past it the lowest half goes.
const MOST: usize = 100_000;

/// Counts failures. Clones share the counters.
#[derive(Clone)]
pub(crate) struct Throttle {
    config: LogInConfig,
    places: Arc<Semaphore>,
    counters: Arc<Mutex<HashMap<[u8; 32], Counter>>>,
}

#[derive(Clone, Copy)]
struct Counter {
    failures: u32,
    since_ms: i64,
}

/// An attempt that counts as failed unless [`Attempt::succeeded`] is called.
#[must_use]
pub(crate) struct Attempt<'a> {
    throttle: &'a Throttle,
    _place: SemaphorePermit<'a>,
    keys: [[u8; 32]; 3],
}

impl Throttle {
    /// With these limits.
    pub(crate) fn new(config: LogInConfig) -> Self {
        let places = Arc::new(Semaphore::new(config.at_once));
        Self { config, places, counters: Arc::default() }
    }

    /// Begins an attempt on `account` (any text that stands for one) from `address`.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many go on at this moment, [`Error::TooManyFailures`] when a limit is reached; then nothing
    /// is counted.
    pub(crate) fn begin(&self, account: &[u8], address: &str, now_ms: i64) -> Result<Attempt<'_>, Error> {
        let place = self.places.try_acquire().map_err(|_| Error::Busy)?;
        let window_ms = i64::try_from(self.config.window_s * 1_000).unwrap_or(i64::MAX);
        let keys = [
            key(b"both", &[account, address.as_bytes()]),
            key(b"account", &[account]),
            key(b"address", &[address.as_bytes()]),
        ];
        let limits = [self.config.per_account_and_address, self.config.per_account, self.config.per_address];
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, limit) in keys.iter().zip(limits) {
            if let Some(counter) = counters.get(key)
                && counter.failures >= limit
                && now_ms - counter.since_ms < window_ms
            {
                let left = u64::try_from(counter.since_ms + window_ms - now_ms).unwrap_or(0);
                return Err(Error::TooManyFailures(Duration::from_millis(left)));
            }
        }
        if counters.len() > MOST {
            counters.retain(|_, counter| now_ms - counter.since_ms < window_ms && counter.failures > 1);
            if counters.len() > MOST / 2 {
                counters.clear();
            }
        }
        for key in keys {
            let counter = counters.entry(key).or_insert(Counter { failures: 0, since_ms: now_ms });
            if now_ms - counter.since_ms >= window_ms {
                *counter = Counter { failures: 0, since_ms: now_ms };
            }
            counter.failures += 1;
        }
        Ok(Attempt { throttle: self, _place: place, keys })
    }
}

impl Attempt<'_> {
    /// The password was right: this attempt does not count, and what was wrong before from here is forgotten.
    pub(crate) fn succeeded(self) {
        let mut counters = self.throttle.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.remove(&self.keys[0]);
        for key in &self.keys[1..] {
            if let Some(counter) = counters.get_mut(key) {
                counter.failures = counter.failures.saturating_sub(1);
            }
        }
    }
}

fn key(kind: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in std::iter::once(&kind).chain(parts) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut key = [0; 32];
    key.copy_from_slice(context.finish().as_ref());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle() -> Throttle {
        Throttle::new(LogInConfig {
            window_s: 10,
            per_account_and_address: 2,
            per_account: 3,
            per_address: 4,
            failure_floor_ms: 0,
            at_once: 3,
        })
    }

    fn fails(throttle: &Throttle, account: &str, address: &str, now_ms: i64) -> bool {
        throttle.begin(account.as_bytes(), address, now_ms).is_ok()
    }

    #[test]
    fn each_limit_holds_for_what_it_counts() {
        let throttle = throttle();
        assert!(fails(&throttle, "ada", "1.1.1.1", 0) && fails(&throttle, "ada", "1.1.1.1", 0));
        assert!(!fails(&throttle, "ada", "1.1.1.1", 9_999), "account and address");
        assert!(fails(&throttle, "ada", "2.2.2.2", 0));
        assert!(!fails(&throttle, "ada", "3.3.3.3", 0), "account");
        assert!(fails(&throttle, "bob", "1.1.1.1", 0) && fails(&throttle, "eve", "1.1.1.1", 0));
        assert!(!fails(&throttle, "tom", "1.1.1.1", 0), "address");
        assert!(fails(&throttle, "ada", "1.1.1.1", 10_000), "the window is over");
    }

    #[test]
    fn a_success_does_not_count() {
        let throttle = throttle();
        for _ in 0..20 {
            throttle.begin(b"ada", "1.1.1.1", 0).unwrap().succeeded();
        }
        let _wrong = throttle.begin(b"ada", "1.1.1.1", 0).unwrap();
        throttle.begin(b"ada", "1.1.1.1", 0).unwrap().succeeded();
        assert!(fails(&throttle, "ada", "1.1.1.1", 0) && fails(&throttle, "ada", "1.1.1.1", 0));
        assert!(!fails(&throttle, "ada", "1.1.1.1", 0));
    }

    #[test]
    fn only_so_many_go_on_at_a_time() {
        let throttle = throttle();
        let going: Vec<_> =
            ["a", "b", "c"].map(|account| throttle.begin(account.as_bytes(), account, 0)).into();
        assert!(going.iter().all(Result::is_ok));
        assert!(matches!(throttle.begin(b"d", "d", 0), Err(Error::Busy)));
        drop(going);
        assert!(throttle.begin(b"d", "d", 0).is_ok());
    }

    #[test]
    fn the_refusal_says_how_long() {
        let throttle = throttle();
        assert!(fails(&throttle, "ada", "a", 0) && fails(&throttle, "ada", "a", 0));
        match throttle.begin(b"ada", "a", 4_000) {
            Err(Error::TooManyFailures(after)) => assert_eq!(after, Duration::from_secs(6)),
            _ => panic!("let through"),
        }
    }
}
