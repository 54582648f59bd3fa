//! How many gateways share the limits. identity knows, because each says every second that it lives; each then allows its part of
//! every limit, so that all together allow the whole.
//!
//! While identity is away the last number stands: all keep their parts, and nobody's grows. A gateway that alone cannot
//! reach identity keeps its part too, while the others share the whole after five seconds; until its principals end, a
//! minute at the most, they all allow that part more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use lethe_proto::identity::{LeaseRatesRequest, api_key_service_client::ApiKeyServiceClient};
use lethe_service::{CallContext, Env, Failure, Job, Progress};

/// How often a gateway says that it lives. identity forgets one after five seconds.
const EVERY: Duration = Duration::from_secs(1);

/// How many share. Clones share the number.
#[derive(Debug, Clone)]
pub(crate) struct Shares(Arc<AtomicU32>);

impl Default for Shares {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(1)))
    }
}

impl Shares {
    /// This gateway's part of `whole`: at least one, or a small limit would be none.
    pub(crate) fn of(&self, whole: u32) -> u32 {
        (whole / self.0.load(Ordering::Relaxed).max(1)).max(1)
    }

    /// So many share from now on.
    pub(crate) fn set(&self, replicas: u32) {
        let before = self.0.swap(replicas.max(1), Ordering::Relaxed);
        if before != replicas.max(1) {
            tracing::info!(replicas, "gateways share the limits");
        }
    }

    /// The job that asks identity.
    pub(crate) fn job(&self, env: &Env) -> Job {
        let (shares, own) = (self.clone(), env.entropy.uuid4().to_string());
        let (env, tasks) = (env.clone(), env.tasks.clone());
        Job::every("gateway.lease_rates", &tasks, EVERY, None, move || {
            let (shares, env) = (shares.clone(), env.clone());
            let request = LeaseRatesRequest { replica_id: own.clone() };
            async move {
                let context = CallContext::for_job("gateway.lease_rates", &env.entropy, EVERY);
                let mut identity = ApiKeyServiceClient::new(env.peers.client("identity", &context));
                let answer = tokio::time::timeout(EVERY, identity.lease_rates(request))
                    .await
                    .map_err(|_| Failure::late())?
                    .map_err(|status| Failure::from_status(&status))?;
                shares.set(answer.into_inner().replicas);
                Ok::<_, Failure>(Progress::Idle)
            }
        })
    }
}
