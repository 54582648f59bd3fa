//! Revocations on their way out: from the rows of all replicas to every process that watches.
//!
//! Whoever revokes writes a row in its transaction and tells the hub after the commit, so that this process's watchers hear
//! at once; the others' hubs find the row at their next poll, at most 200 ms later. A heartbeat says "up to now I have
//! read the rows": a hub that cannot read them falls silent, and its watchers ask (`CheckPrincipal`) instead of trusting.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{Stream, future::BoxFuture, stream};
use lethe_access::{Ask, Principal, Revocation, Revocations, Revoked, Who};
use lethe_ambient::Tasks;
use lethe_proto::identity::{self as proto, WatchRevocationsResponse, revocation::What};
use lethe_service::{Database, Failure};
use tokio::{sync::broadcast, time::Instant};
use tonic::Status;
use uuid::Uuid;

use crate::{config::Config, session_clock::SessionClock, store};

/// A new watcher is told what was revoked in this time: two lives of a principal, and room.
const TOLD: Duration = Duration::from_secs(130);
/// Each poll looks back so far again: rows become visible in another order than they were made, and a transaction may idle for
/// a minute before PostgreSQL ends it.
const OVERLAP_S: f64 = 75.0;
/// Rows older than this, in seconds, are nobody's news and may be deleted.
pub(crate) const KEPT_S: f64 = 600.0;
/// A poll that takes longer waits for a server that fell silent.
const LONGEST_POLL: Duration = Duration::from_secs(5);
/// Batches a watcher may be behind before its stream is ended, and it begins anew.
const BEHIND: usize = 1_024;
/// Revocations in one message: about 100 KiB.
const IN_ONE: usize = 1_000;
/// How far ahead of ours another replica's clock may be. A revocation voids what it issued meanwhile.
pub(crate) const CLOCKS_APART_MS: i64 = 1_000;

/// Knows the recent revocations, and tells them. Clones share it.
#[derive(Clone)]
pub(crate) struct Hub(Arc<Inner>);

struct Inner {
    db: Database,
    own: Revocations,
    heartbeat: Duration,
    poll: Duration,
    state: Mutex<State>,
    news: broadcast::Sender<Arc<[Revocation]>>,
}

#[derive(Default)]
struct State {
    /// By the row's id; with when we heard.
    known: HashMap<Uuid, (Revocation, Instant)>,
    /// In the order in which we heard.
    order: VecDeque<Uuid>,
    read_at: Option<Instant>,
}

impl Hub {
    /// Feeds `own`, the revocations that identity's own calls go by.
    pub(crate) fn new(db: Database, own: Revocations, config: &Config) -> Self {
        let (news, _) = broadcast::channel(BEHIND);
        Self(Arc::new(Inner {
            db,
            own,
            heartbeat: Duration::from_millis(config.revocations.heartbeat_ms),
            poll: Duration::from_millis(config.revocations.poll_ms),
            state: Mutex::default(),
            news,
        }))
    }

    /// Tells everybody in this process, at once. After the commit.
    pub(crate) fn publish(&self, revocations: &[(Uuid, Revocation)]) {
        self.take_in(revocations, Instant::now());
    }

    /// Reads the rows once.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn poll(&self) -> Result<(), sqlx::Error> {
        let started = Instant::now();
        let first = self.state(|state| state.read_at.is_none());
        let seconds = if first { TOLD.as_secs_f64() } else { OVERLAP_S };
        let rows = store::revocation::recent(&self.0.db, seconds).await?;
        self.take_in(&rows, started);
        self.state(|state| state.read_at = Some(started));
        self.0.own.heard(started);
        Ok(())
    }

    /// Reads the rows again and again until the process stops. A failure is not waited out: silence is noticed by itself, and
    /// that of a server that lost its power too.
    pub(crate) async fn run(self, tasks: Tasks) {
        while !tasks.is_stopping() {
            let silent = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
            if let Err(error) = tokio::time::timeout(LONGEST_POLL, self.poll()).await.unwrap_or_else(silent) {
                tracing::warn!(error = %Failure::from(error), "revocations cannot be read");
            }
            tasks.rest(self.0.poll).await;
        }
    }

    fn take_in(&self, rows: &[(Uuid, Revocation)], now: Instant) {
        let fresh: Vec<Revocation> = self.state(|state| {
            let fresh = rows
                .iter()
                .filter(|(id, revocation)| {
                    let new = !state.known.contains_key(id);
                    if new {
                        state.known.insert(*id, (*revocation, now));
                        state.order.push_back(*id);
                    }
                    new
                })
                .map(|(_, revocation)| *revocation)
                .collect();
            while let Some(id) = state.order.front() {
                let old = |(_, at): &(Revocation, Instant)| now.saturating_duration_since(*at) > TOLD;
                if !state.known.get(id).is_none_or(old) {
                    break;
                }
                state.known.remove(id);
                state.order.pop_front();
            }
            fresh
        });
        if !fresh.is_empty() {
            self.0.own.apply(&fresh, now);
            // An error means that nobody watches.
            let _ = self.0.news.send(fresh.into());
        }
    }

    /// Whether the rows were read lately enough to say that nothing else was revoked.
    fn is_fresh(&self) -> bool {
        let limit = self.0.poll * 2 + Duration::from_millis(100);
        self.state(|state| state.read_at).is_some_and(|at| at.elapsed() <= limit)
    }

    fn recent(&self) -> Vec<Revocation> {
        self.state(|state| state.known.values().map(|(revocation, _)| *revocation).collect())
    }

    fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What one watcher hears: first all that is recent, then the news, and a heartbeat when there are none. It ends with
    /// the process, or when the watcher is too slow; then it begins anew.
    pub(crate) fn watch(
        &self,
        tasks: Tasks,
    ) -> impl Stream<Item = Result<WatchRevocationsResponse, Status>> + Send + 'static {
        let watcher = Watcher {
            hub: self.clone(),
            news: self.0.news.subscribe(),
            waiting: VecDeque::new(),
            greeted: false,
        };
        stream::unfold((watcher, tasks), |(mut watcher, tasks)| async move {
            tokio::select! {
                () = tasks.stopped() => None,
                message = watcher.next() => message.map(|message| (Ok(message), (watcher, tasks))),
            }
        })
    }
}

struct Watcher {
    hub: Hub,
    news: broadcast::Receiver<Arc<[Revocation]>>,
    waiting: VecDeque<Revocation>,
    greeted: bool,
}

impl Watcher {
    async fn next(&mut self) -> Option<WatchRevocationsResponse> {
        loop {
            if !self.waiting.is_empty() {
                let many = self.waiting.len().min(IN_ONE);
                let revocations = self.waiting.drain(..many).map(|r| encode(&r)).collect();
                return Some(WatchRevocationsResponse { revocations });
            }
            if !self.greeted && self.hub.is_fresh() {
                self.greeted = true;
                self.waiting.extend(self.hub.recent());
                if self.waiting.is_empty() {
                    return Some(WatchRevocationsResponse::default());
                }
                continue;
            }
            let beat = if self.greeted { self.hub.0.heartbeat } else { self.hub.0.poll / 4 };
            match tokio::time::timeout(beat, self.news.recv()).await {
                Ok(Ok(news)) => self.waiting.extend(news.iter().copied()),
                Ok(Err(_)) => return None,
                Err(_) if self.greeted && self.hub.is_fresh() => {
                    return Some(WatchRevocationsResponse::default());
                }
                Err(_) => {}
            }
        }
    }
}

fn encode(revocation: &Revocation) -> proto::Revocation {
    let what = match revocation.what {
        Revoked::Session(session) => What::SessionId(session.to_string()),
        Revoked::Member(member) => What::MemberId(member.to_string()),
        Revoked::ApiKey(key) => What::ApiKeyId(key.to_string()),
        Revoked::OperatorAccess(access) => What::OperatorAccessId(access.to_string()),
        Revoked::Tenant => What::Tenant(true),
    };
    proto::Revocation {
        tenant_id: revocation.tenant.to_string(),
        what: Some(what),
        revoked_at_ms: revocation.revoked_at_ms,
    }
}

/// Identity asks itself: its own database.
pub(crate) struct OwnDatabase {
    /// Where.
    pub(crate) db: Database,
    /// When sessions are over.
    pub(crate) sessions: SessionClock,
}

impl OwnDatabase {
    /// Whether the principal's session or key, and the rights, still stand.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn check(&self, principal: &Principal) -> Result<bool, sqlx::Error> {
        let mut tx = self.db.tenant(principal.tenant).await?;
        let (issued_at_ms, now) = (principal.issued_at_ms, self.sessions.now());
        match principal.who {
            Who::Member { member, session, .. } => {
                let idle_since = self.sessions.idle_since();
                store::session::stands(&mut tx, session, member, issued_at_ms, idle_since, now).await
            }
            Who::ApiKey { key, .. } => store::api_key::stands(&mut tx, key, issued_at_ms, now).await,
            Who::Operator { access, .. } => {
                let row = store::operator_access::standing(&mut tx, access, issued_at_ms, now).await?;
                Ok(row.is_some())
            }
        }
    }
}

impl Ask for OwnDatabase {
    fn stands<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<bool, Status>> {
        Box::pin(async move { self.check(principal).await.map_err(|error| Failure::from(error).into()) })
    }
}
