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

/// Most counters in memory, about 50 bytes each. Past it the lower half goes.
const MOST: usize = 100_000;
/// How long an address counts as the member's own after he logged in from there.
const KNOWN_MS: i64 = 30 * 24 * 3_600 * 1_000;

/// Counts failures. Clones share the counters.
#[derive(Clone)]
pub(crate) struct Throttle {
    config: LogInConfig,
    places: Arc<Semaphore>,
    counters: Arc<Mutex<HashMap<[u8; 32], Counter>>>,
    /// Accounts and addresses together, and when such a log-in last succeeded.
    known: Arc<Mutex<HashMap<[u8; 32], i64>>>,
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
    now_ms: i64,
}

impl Throttle {
    /// With these limits.
    pub(crate) fn new(config: LogInConfig) -> Self {
        let places = Arc::new(Semaphore::new(config.at_once));
        Self { config, places, counters: Arc::default(), known: Arc::default() }
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
        // Others' guesses do not lock a member out where he logs in.
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = known.get(&keys[0]).is_some_and(|at_ms| now_ms - at_ms < KNOWN_MS);
        drop(known);
        let per_account = if is_known { u32::MAX } else { self.config.per_account };
        let limits = [self.config.per_account_and_address, per_account, self.config.per_address];
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
                keep_higher_half(&mut counters, |counter| i64::from(counter.failures));
            }
        }
        for key in keys {
            let counter = counters.entry(key).or_insert(Counter { failures: 0, since_ms: now_ms });
            if now_ms - counter.since_ms >= window_ms {
                *counter = Counter { failures: 0, since_ms: now_ms };
            }
            counter.failures += 1;
        }
        Ok(Attempt { throttle: self, _place: place, keys, now_ms })
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
        drop(counters);
        let mut known = self.throttle.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(self.keys[0], self.now_ms);
        if known.len() > MOST {
            keep_higher_half(&mut known, |at_ms| *at_ms);
        }
    }
}

/// What ranks above the middle stays.
fn keep_higher_half<T>(map: &mut HashMap<[u8; 32], T>, rank: impl Fn(&T) -> i64) {
    let mut ranks: Vec<i64> = map.values().map(&rank).collect();
    let half = ranks.len() / 2;
    let middle = *ranks.select_nth_unstable(half).1;
    map.retain(|_, value| rank(value) > middle);
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
    fn others_do_not_lock_a_member_out_where_he_logs_in() {
        let throttle = throttle();
        throttle.begin(b"ada", "home", 0).unwrap().succeeded();
        for attacker in ["1.1.1.1", "2.2.2.2", "3.3.3.3"] {
            assert!(fails(&throttle, "ada", attacker, 1));
        }
        assert!(!fails(&throttle, "ada", "4.4.4.4", 2), "the account's limit");
        throttle.begin(b"ada", "home", 3).unwrap().succeeded();
        assert!(fails(&throttle, "ada", "home", 4) && fails(&throttle, "ada", "home", 4));
        assert!(!fails(&throttle, "ada", "home", 5), "his own guesses count");
    }

    #[test]
    fn a_flood_of_addresses_lifts_nobodys_limit() {
        let config = LogInConfig { per_account_and_address: 3, per_account: 9, ..throttle().config };
        let throttle = Throttle::new(config);
        let guess = |account: &str, address: &str| fails(&throttle, account, address, 0);
        assert!((0..3).all(|_| guess("ada", "evil")) && !guess("ada", "evil"));
        // More than once each, so that a single failure is not what tells them apart.
        for number in 0..MOST {
            let account = number.to_string();
            assert!(guess(&account, &account) && guess(&account, &account));
        }
        assert!(throttle.counters.lock().unwrap().len() <= MOST + 3);
        assert!(!guess("ada", "evil"));
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
