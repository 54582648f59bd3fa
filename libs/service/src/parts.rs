//! What a service is handed, and what it hands back.

use std::{fmt::Display, future::Future, sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt};
use lethe_access::Access;
use lethe_ambient::{Clock, Entropy, Tasks};
use tokio::sync::Notify;

use crate::{Nats, Peers};

/// Why a service could not be built. Nobody matches on it: it is printed, and the process ends.
pub type BuildError = anyhow::Error;

/// What a service would otherwise reach out for. Each service gets its own `peers`, `nats` and `access`.
#[derive(Clone)]
pub struct Env {
    /// The time.
    pub clock: Clock,
    /// Random bytes and new ids.
    pub entropy: Entropy,
    /// The process's tasks, and its wish to stop.
    pub tasks: Tasks,
    /// The other services.
    pub peers: Peers,
    /// The bus.
    pub nats: Nats,
    /// This service's key, the others' public keys, and the revocations.
    pub access: Access,
}

/// A service that is ready to be served.
pub struct Parts {
    /// `messaging`.
    pub name: &'static str,
    /// Its RPCs.
    pub grpc: tonic::service::Routes,
    /// What it does by itself.
    pub jobs: Vec<Job>,
    /// What it needs to be ready.
    pub probes: Vec<Probe>,
    /// The gateway's routes for the world outside.
    pub http: Option<axum::Router>,
}

/// Work that goes on until the process stops.
pub struct Job {
    /// `messaging.relay_outbox`.
    pub name: &'static str,
    /// Ends soon after [`Tasks::stopped`].
    pub run: BoxFuture<'static, ()>,
}

/// What one round of a job came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is left: wait for the interval, or for someone who wakes the job.
    Idle,
    /// There may be more: go on at once.
    More,
}

/// A round over many rows. What cannot be done for one of them is logged, and keeps none of the others waiting.
pub struct Round {
    job: &'static str,
    progress: Progress,
    failed: Option<BuildError>,
}

impl Round {
    /// A round of the job with this name.
    pub fn of(job: &'static str) -> Self {
        Self { job, progress: Progress::Idle, failed: None }
    }

    /// Notes what came of one row; `row` says for the operator which, by nothing personal.
    pub fn note(&mut self, row: impl Display, came: Result<Progress, impl Into<BuildError>>) {
        match came {
            Ok(Progress::More) => self.progress = Progress::More,
            Ok(Progress::Idle) => {}
            Err(error) => {
                let error = error.into();
                tracing::warn!(job = self.job, %row, error = format!("{error:#}"), "left for another round");
                self.failed = Some(error);
            }
        }
    }

    /// [`Progress::More`] where something was done.
    ///
    /// # Errors
    /// Why the last one failed, where nothing could be done: the job waits longer each time.
    pub fn end(self) -> Result<Progress, BuildError> {
        match (self.progress, self.failed) {
            (Progress::Idle, Some(error)) => Err(error),
            (progress, _) => Ok(progress),
        }
    }
}

/// The longest that a failing job waits before it tries again.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// The longest that a round takes. What is still under way then waits for a store that fell silent, whose answer never comes: it is
/// dropped, as by a crash, and the next round begins anew.
const LONGEST_ROUND: Duration = Duration::from_secs(900);

impl Job {
    /// A job that is its own loop.
    pub fn new(name: &'static str, run: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { name, run: run.boxed() }
    }

    /// Calls `round` again and again: at once while it makes progress, else after `interval` or when `wake` is
    /// notified. After an error it waits, each time twice as long up to 30 s. It never ends before the process stops,
    /// and a round that has begun is not interrupted, but for one that takes 15 minutes.
    pub fn every<W, F, E>(
        name: &'static str,
        tasks: &Tasks,
        interval: Duration,
        wake: Option<Arc<Notify>>,
        round: W,
    ) -> Self
    where
        W: FnMut() -> F + Send + 'static,
        F: Future<Output = Result<Progress, E>> + Send,
        E: Into<BuildError> + Send,
    {
        Self::every_within(name, LONGEST_ROUND, tasks, interval, wake, round)
    }

    /// As [`Job::every`], with rounds that take `longest` at the most: for what is worth nothing when it comes later, or keeps
    /// others waiting.
    pub fn every_within<W, F, E>(
        name: &'static str,
        longest: Duration,
        tasks: &Tasks,
        interval: Duration,
        wake: Option<Arc<Notify>>,
        mut round: W,
    ) -> Self
    where
        W: FnMut() -> F + Send + 'static,
        F: Future<Output = Result<Progress, E>> + Send,
        E: Into<BuildError> + Send,
    {
        let tasks = tasks.clone();
        Self::new(name, async move {
            let mut failures = 0_u32;
            while !tasks.is_stopping() {
                let ended: Result<Progress, BuildError> = match tokio::time::timeout(longest, round()).await {
                    Ok(ended) => ended.map_err(Into::into),
                    Err(silent) => Err(silent.into()),
                };
                let pause = match ended {
                    Ok(Progress::More) => {
                        failures = 0;
                        // A job that always finds more still lets others run.
                        tokio::task::yield_now().await;
                        continue;
                    }
                    Ok(Progress::Idle) => {
                        failures = 0;
                        interval
                    }
                    Err(error) => {
                        let pause = backoff(interval, failures);
                        failures = failures.saturating_add(1);
                        tracing::warn!(
                            job = name,
                            failures,
                            pause_ms = pause.as_millis() as u64,
                            error = format!("{error:#}"),
                            "a job's round failed"
                        );
                        pause
                    }
                };
                match &wake {
                    // Not after a failure: a wake in a storm of them would undo the backoff.
                    Some(wake) if failures == 0 => tokio::select! {
                        _ = tasks.rest(pause) => {}
                        () = wake.notified() => {}
                    },
                    _ => {
                        tasks.rest(pause).await;
                    }
                }
            }
        })
    }
}

fn backoff(interval: Duration, failures: u32) -> Duration {
    let first = interval.clamp(Duration::from_millis(100), LONGEST_BACKOFF);
    first.saturating_mul(1 << failures.min(9)).min(LONGEST_BACKOFF)
}

type Check = dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync;

/// Something without which a service is not ready. Liveness never depends on one.
#[derive(Clone)]
pub struct Probe {
    /// `postgres`, `keystore`, `nats`.
    pub name: &'static str,
    /// Answers what is missing, for the operator.
    pub check: Arc<Check>,
}

impl Probe {
    /// A probe by a function.
    pub fn new<F>(name: &'static str, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { name, check: Arc::new(move || check().boxed()) }
    }
}
