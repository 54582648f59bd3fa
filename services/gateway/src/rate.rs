//! How often: the generic cell rate algorithm (one instant a key) in memory. A window allows `requests` at once and
//! refills evenly over `per_s` seconds. What a key stands for (an address, a member) is hashed under a key of the
//! process: nobody's address lies in this table.
//!
//! The windows are one gateway's own, of the part of the limit that it has (`shares.rs`).

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;

use crate::{problem::Problem, shares::Shares};

/// Locks, so that requests of different keys rarely wait for each other.
const SHARDS: usize = 64;
/// Keys of one shard; a full shard forgets those whose window is whole again, then all.
const MOST_KEYS: usize = 4_096;

/// `requests` in `per_s` seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many.
    pub requests: u32,
    /// In how many seconds.
    pub per_s: u32,
}

/// The windows there are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Log-ins from one address.
    pub log_in_address: Rate,
    /// Log-ins for one member.
    pub log_in_member: Rate,
    /// Requests without a valid session from one address.
    pub address: Rate,
    /// Requests of one member.
    pub member: Rate,
    /// Requests of one API key without a limit of its own.
    pub api_key: Rate,
    /// Requests of one tenant.
    pub tenant: Rate,
    /// What a plan has instead.
    pub plans: BTreeMap<String, PlanRates>,
}

/// The limits of one plan; absent ones are as without it.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlanRates {
    /// Requests of one member.
    pub member: Option<Rate>,
    /// Requests of one API key without a limit of its own.
    pub api_key: Option<Rate>,
    /// Requests of one tenant.
    pub tenant: Option<Rate>,
}

impl Rates {
    pub(crate) fn are_sane(&self) -> bool {
        let own =
            [self.log_in_address, self.log_in_member, self.address, self.member, self.api_key, self.tenant];
        let plans = self.plans.values().flat_map(|plan| [plan.member, plan.api_key, plan.tenant]).flatten();
        own.into_iter().chain(plans).all(|rate| rate.requests > 0 && rate.per_s > 0)
    }

    /// What this plan has instead.
    pub(crate) fn plan(&self, plan: &str) -> PlanRates {
        self.plans.get(plan).copied().unwrap_or_default()
    }
}

/// The window of one kind of key.
pub(crate) struct Window {
    name: &'static str,
    rate: Rate,
    shares: Shares,
    hasher: RandomState,
    shards: Box<[Mutex<HashMap<u64, Instant>>]>,
}

/// What is left of a window after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    name: &'static str,
    limit: u32,
    per_s: u32,
    /// Requests that may come at once.
    pub(crate) remaining: u32,
    /// Until the window is whole again.
    reset: Duration,
}

impl Window {
    /// An empty window.
    pub(crate) fn new(name: &'static str, rate: Rate, shares: &Shares) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { name, rate, shares: shares.clone(), hasher: RandomState::new(), shards }
    }

    /// Counts a request of `key` at `now`.
    ///
    /// # Errors
    /// 429 when the window is used up; the request is not counted then.
    pub(crate) fn take(&self, key: impl Hash, now: Instant) -> Result<Left, Problem> {
        self.take_of(key, None, now)
    }

    /// As [`Window::take`], under a limit of the key's own if it has one.
    ///
    /// # Errors
    /// As [`Window::take`].
    pub(crate) fn take_of(&self, key: impl Hash, rate: Option<Rate>, now: Instant) -> Result<Left, Problem> {
        let rate = rate.unwrap_or(self.rate);
        let hash = self.hasher.hash_one(key);
        let span = Duration::from_secs(rate.per_s.into());
        let each = span / self.shares.of(rate.requests);
        let mut keys = self.shards[hash as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MOST_KEYS && !keys.contains_key(&hash) {
            keys.retain(|_, whole_at| *whole_at > now);
            if keys.len() >= MOST_KEYS {
                keys.clear();
            }
        }
        let whole_at = keys.entry(hash).or_insert(now);
        let next = (*whole_at).max(now) + each;
        let used = next - now;
        if used > span {
            let left = self.left(rate, 0, (*whole_at).saturating_duration_since(now));
            return Err(left.refusal(used - span));
        }
        *whole_at = next;
        let remaining = ((span - used).as_nanos() / each.as_nanos().max(1)).try_into().unwrap_or(u32::MAX);
        Ok(self.left(rate, remaining, used))
    }

    fn left(&self, rate: Rate, remaining: u32, reset: Duration) -> Left {
        Left { name: self.name, limit: rate.requests, per_s: rate.per_s, remaining, reset }
    }
}

impl Left {
    /// Whether less is left of this one.
    pub(crate) fn tighter_of(self, other: Self) -> Self {
        if other.remaining < self.remaining { other } else { self }
    }

    /// Writes `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10).
    pub(crate) fn put(&self, headers: &mut HeaderMap) {
        let mut text = String::with_capacity(48);
        let seconds = self.reset.as_secs() + u64::from(self.reset.subsec_nanos() > 0);
        let _infallible = write!(text, "\"{}\";r={};t={seconds}", self.name, self.remaining);
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert("ratelimit", value);
        }
        text.clear();
        let _infallible = write!(text, "\"{}\";q={};w={}", self.name, self.limit, self.per_s);
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert("ratelimit-policy", value);
        }
    }

    fn refusal(self, after: Duration) -> Problem {
        let mut headers = HeaderMap::with_capacity(2);
        self.put(&mut headers);
        let mut problem =
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", "too many requests; try again later")
                .retry_after(after);
        for (name, value) in headers {
            if let Some(name) = name {
                problem = problem.with_header(name, value);
            }
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_allows_its_requests_at_once_and_refills_evenly() {
        let window = Window::new("member", Rate { requests: 3, per_s: 30 }, &Shares::default());
        let start = Instant::now();
        for remaining in [2, 1, 0] {
            assert_eq!(window.take("a", start).expect("in the window").remaining, remaining);
        }
        let refused = window.take("a", start).expect_err("used up");
        assert_eq!(refused.code(), "RATE_LIMITED");
        assert!(window.take("b", start).is_ok(), "another key has its own");
        assert!(window.take("a", start + Duration::from_millis(9_999)).is_err());
        assert_eq!(window.take("a", start + Duration::from_secs(10)).expect("one is back").remaining, 0);
        assert_eq!(window.take("a", start + Duration::from_secs(100)).expect("all are").remaining, 2);
    }

    #[test]
    fn gateways_that_share_allow_the_limit_together() {
        let rate = Rate { requests: 12, per_s: 60 };
        for replicas in [1, 2, 3, 4] {
            let start = Instant::now();
            let allowed = (0..replicas).map(|_| {
                let shares = Shares::default();
                shares.set(replicas);
                let window = Window::new("member", rate, &shares);
                (0..100).filter(|_| window.take("a", start).is_ok()).count()
            });
            assert_eq!(allowed.sum::<usize>(), 12, "{replicas}");
        }
        let shares = Shares::default();
        shares.set(100);
        let window = Window::new("member", rate, &shares);
        assert!(window.take("a", Instant::now()).is_ok(), "a part is never nothing");
    }

    #[test]
    fn a_key_may_have_a_limit_of_its_own() {
        let window = Window::new("api_key", Rate { requests: 100, per_s: 60 }, &Shares::default());
        let (start, own) = (Instant::now(), Some(Rate { requests: 2, per_s: 60 }));
        let left = window.take_of("a", own, start).expect("in the window");
        assert_eq!((left.limit, left.remaining), (2, 1));
        assert!(window.take_of("a", own, start).is_ok() && window.take_of("a", own, start).is_err());
        assert!(window.take_of("b", None, start).is_ok());
    }

    #[test]
    fn a_flood_of_keys_takes_bounded_memory() {
        let window = Window::new("address", Rate { requests: 1, per_s: 60 }, &Shares::default());
        let start = Instant::now();
        for key in 0..(SHARDS * MOST_KEYS * 2) {
            let _counted = window.take(key, start);
        }
        let kept: usize = window.shards.iter().map(|shard| shard.lock().expect("whole").len()).sum();
        assert!(kept <= SHARDS * MOST_KEYS, "{kept}");
    }
}
