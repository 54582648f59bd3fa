//! `grpc.health.v1`: the service's name (and the empty name) answer whether it is ready, `liveness` answers that
//! the process lives, which depends on nothing.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::{HealthReporter, health_reporter},
};

use crate::Probe;

/// How long a probe may take before it counts as failed.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// What a service lacks to be ready. Clones share it.
#[derive(Clone)]
pub struct Readiness(Arc<Inner>);

struct Inner {
    name: &'static str,
    probes: Vec<Probe>,
    /// `None` before the first round of probes.
    missing: Mutex<Option<Vec<Missing>>>,
    reporter: HealthReporter,
}

/// A probe that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The probe's name.
    pub probe: &'static str,
    /// Why, for the operator.
    pub why: String,
}

impl Readiness {
    pub(super) fn new(name: &'static str, probes: Vec<Probe>) -> (Self, HealthServer<impl Health>) {
        let (reporter, server) = health_reporter();
        (Self(Arc::new(Inner { name, probes, missing: Mutex::new(None), reporter })), server)
    }

    /// Whether all probes passed in the last round.
    pub fn is_ready(&self) -> bool {
        self.0.missing.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(Vec::is_empty)
    }

    /// What failed in the last round; before the first one, everything.
    pub fn missing(&self) -> Vec<Missing> {
        let known = self.0.missing.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone().unwrap_or_else(|| vec![Missing { probe: "start", why: "not asked yet".to_owned() }])
    }

    /// Asks all probes now, at once, each for 2 s at the most; answers whether all passed.
    pub async fn ask(&self) -> bool {
        let answers = join_all(self.0.probes.iter().map(|probe| async {
            let why = match tokio::time::timeout(PROBE_LIMIT, (probe.check)()).await {
                Ok(Ok(())) => return None,
                Ok(Err(why)) => why,
                Err(_) => "no answer in time".to_owned(),
            };
            Some(Missing { probe: probe.name, why })
        }))
        .await;
        let missing: Vec<Missing> = answers.into_iter().flatten().collect();
        let ready = missing.is_empty();
        let before = {
            let mut known = self.0.missing.lock().unwrap_or_else(PoisonError::into_inner);
            known.replace(missing.clone())
        };
        if before.as_ref() != Some(&missing) {
            let service = self.0.name;
            if ready {
                tracing::info!(service, "ready");
            } else {
                tracing::warn!(service, ?missing, "not ready");
            }
            self.report(ready).await;
        }
        ready
    }

    /// From now on the service is not ready, whatever the probes say.
    pub(super) async fn stopping(&self) {
        let stopping = Missing { probe: "process", why: "stopping".to_owned() };
        *self.0.missing.lock().unwrap_or_else(PoisonError::into_inner) = Some(vec![stopping]);
        self.report(false).await;
    }

    async fn report(&self, ready: bool) {
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in ["", self.0.name] {
            self.0.reporter.set_service_status(name, status).await;
        }
        self.0.reporter.set_service_status("liveness", ServingStatus::Serving).await;
    }
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readiness").field("service", &self.0.name).field("missing", &self.missing()).finish()
    }
}
