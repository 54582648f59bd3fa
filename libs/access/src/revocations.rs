//! What was revoked within the life of a principal, and how long ago we last heard. Time to live is measured by the
//! machine's monotonic clock, which callers hand in: setting the time of day neither revives nor ends anything.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use lethe_ids::{ApiKeyId, MemberId, OperatorAccessId, SessionId, TenantId};
use tokio::time::Instant;

use crate::{Ask, Principal, TOKEN_LIFE_MS, Who};

/// Longer without a word from identity, and it is asked at each request.
pub(crate) const SILENCE: Duration = Duration::from_secs(1);
/// Remembered for two lives of a principal: none that it concerns is good any more.
const REMEMBERED: Duration = Duration::from_millis(2 * TOKEN_LIFE_MS as u64);
/// More revocations than this at a time void every principal issued before the last of them.
const MOST: usize = 100_000;
/// After identity did not answer, it is not asked again for so long.
const AWAY: Duration = Duration::from_millis(250);
/// Longest wait for identity's answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Principals issued before `revoked_at_ms` that match are void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revocation {
    /// The tenant it is in.
    pub tenant: TenantId,
    /// What of it.
    pub what: Revoked,
    /// Milliseconds since 1970.
    pub revoked_at_ms: i64,
}

/// What a revocation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// One session. It never comes back, so the time does not matter.
    Session(SessionId),
    /// One API key. It never comes back either.
    ApiKey(ApiKeyId),
    /// One operator's access. Nor does it.
    OperatorAccess(OperatorAccessId),
    /// All that a member holds: deactivated, or a role taken away.
    Member(MemberId),
    /// The whole tenant.
    Tenant,
}

/// The revocations of one process. Clones share them.
#[derive(Clone, Default)]
pub struct Revocations(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: RwLock<State>,
    ask: RwLock<Option<Arc<dyn Ask>>>,
}

#[derive(Default)]
struct State {
    revoked: HashMap<(TenantId, Revoked), (i64, Instant)>,
    /// Everything issued before is void: the set ran over.
    void_before_ms: i64,
    heard: Heard,
    away_until: Option<Instant>,
}

#[derive(Default, Clone, Copy)]
enum Heard {
    #[default]
    Never,
    At(Instant),
    /// Nobody revokes anything here: tests and tools.
    Always,
}

/// What is known of a principal's standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Stands,
    Void,
    /// Identity is silent, and does not answer either.
    Unknown,
}

impl Revocations {
    /// Nothing heard yet: everything is asked for until [`Revocations::heard`] is called.
    pub fn new() -> Self {
        Self::default()
    }

    /// For tests and tools without identity: what was not revoked by [`Revocations::apply`] stands.
    pub fn always_fresh() -> Self {
        let new = Self::new();
        new.with_state(|state| state.heard = Heard::Always);
        new
    }

    /// Asks this one when the feed is silent.
    pub fn ask_with(&self, ask: Arc<dyn Ask>) {
        *self.0.ask.write().unwrap_or_else(PoisonError::into_inner) = Some(ask);
    }

    /// Takes revocations in; the same one twice is one.
    pub fn apply(&self, revocations: &[Revocation], now: Instant) {
        if revocations.is_empty() {
            return;
        }
        self.with_state(|state| {
            for revocation in revocations {
                let entry = state
                    .revoked
                    .entry((revocation.tenant, revocation.what))
                    .or_insert((revocation.revoked_at_ms, now));
                *entry = (entry.0.max(revocation.revoked_at_ms), now);
            }
            if state.revoked.len() > MOST / 2 {
                state.revoked.retain(|_, (_, at)| now.saturating_duration_since(*at) < REMEMBERED);
            }
            if state.revoked.len() > MOST {
                let last = state.revoked.values().map(|(ms, _)| *ms).max().unwrap_or_default();
                state.void_before_ms = state.void_before_ms.max(last);
                state.revoked.clear();
            }
        });
    }

    /// Identity spoke: a heartbeat or a revocation.
    pub fn heard(&self, now: Instant) {
        self.with_state(|state| {
            if !matches!(state.heard, Heard::Always) {
                state.heard = Heard::At(now);
            }
        });
    }

    /// Whether identity spoke within the last second.
    pub fn is_fresh(&self, now: Instant) -> bool {
        self.read(|state| match state.heard {
            Heard::Never => false,
            Heard::At(at) => now.saturating_duration_since(at) <= SILENCE,
            Heard::Always => true,
        })
    }

    /// Whether a revocation that was heard voids this principal. For caches of principals, as the gateway's.
    pub fn is_void(&self, principal: &Principal) -> bool {
        self.read(|state| {
            let before = |what| {
                state
                    .revoked
                    .get(&(principal.tenant, what))
                    .is_some_and(|(at_ms, _)| principal.issued_at_ms < *at_ms)
            };
            let ended = |what| state.revoked.contains_key(&(principal.tenant, what));
            let own = match principal.who {
                Who::Member { member, session, .. } => {
                    ended(Revoked::Session(session)) || before(Revoked::Member(member))
                }
                Who::ApiKey { key, .. } => ended(Revoked::ApiKey(key)),
                Who::Operator { access, .. } => ended(Revoked::OperatorAccess(access)),
            };
            own || principal.issued_at_ms < state.void_before_ms || before(Revoked::Tenant)
        })
    }

    /// What is known at `now`; asks identity when it was silent.
    pub(crate) async fn standing(&self, principal: &Principal, now: Instant) -> Standing {
        if self.is_void(principal) {
            return Standing::Void;
        }
        if self.is_fresh(now) {
            return Standing::Stands;
        }
        let ask = self.0.ask.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(ask) = ask.filter(|_| !self.read(|state| state.away_until.is_some_and(|until| now < until)))
        else {
            return Standing::Unknown;
        };
        match tokio::time::timeout(PATIENCE, ask.stands(principal)).await {
            Ok(Ok(true)) => Standing::Stands,
            Ok(Ok(false)) => Standing::Void,
            Ok(Err(_)) | Err(_) => {
                self.with_state(|state| state.away_until = Some(now + AWAY));
                Standing::Unknown
            }
        }
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.0.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn with_state(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.state.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl std::fmt::Debug for Revocations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Revocations")
    }
}
