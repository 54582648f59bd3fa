//! The log of what API keys ask, for audit: route and outcome, never a path, a query or a body. Kept by identity, to which it goes
//! in groups, behind the answer.
//!
//! The queue has a bound. What finds no room is counted by key, and the count is recorded as soon as there is room, so
//! that a gap is seen as one. A gateway that is killed loses what it had queued: about a second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lethe_ids::{ApiKeyId, TenantId};
use lethe_proto::identity::{
    ApiRequest, RecordApiRequestsRequest, RecordedRequest, api_key_service_client::ApiKeyServiceClient,
};
use lethe_service::{CallContext, Env, Failure, Job, timestamp};
use tokio::sync::mpsc;

/// Requests of one call to identity.
const GROUP: usize = 1_000;
/// Keys whose gaps are counted; of more than these a gap is in the process's log alone.
const MOST_GAPS: usize = 10_000;
/// How long requests are collected before they go.
const COLLECT: Duration = Duration::from_millis(500);
/// How long identity may take for a group.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts while identity is away.
const AGAIN: Duration = Duration::from_secs(1);
/// After the process was asked to stop, so long without a request is the end.
const QUIET: Duration = Duration::from_millis(300);

/// Where requests are noted. Clones share the queue.
#[derive(Clone)]
pub(crate) struct RequestLog(Arc<Inner>);

struct Inner {
    queue: mpsc::Sender<RecordedRequest>,
    gaps: Mutex<HashMap<(TenantId, ApiKeyId), u32>>,
    env: Env,
}

/// A request by a key, to be noted when it has its answer; one that is given up before counts as 504, one that panics as 500.
pub(crate) struct Noted {
    log: RequestLog,
    tenant: TenantId,
    key: ApiKeyId,
    request: ApiRequest,
}

impl Noted {
    /// The answer's status.
    pub(crate) fn answered(mut self, status: u16) {
        self.request.status = status.into();
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if self.request.status == 0 {
            self.request.status = if std::thread::panicking() { 500 } else { 504 };
        }
        self.log.put(self.tenant, self.key, std::mem::take(&mut self.request));
    }
}

impl RequestLog {
    /// The log, in which `most` requests may wait, and the job that hands it over.
    pub(crate) fn new(most: usize, env: &Env) -> (Self, Job) {
        let (queue, waiting) = mpsc::channel(most);
        let log = Self(Arc::new(Inner { queue, gaps: Mutex::default(), env: env.clone() }));
        let job = Job::new("gateway.record_api_requests", log.clone().run(waiting));
        (log, job)
    }

    /// A request that begins now.
    pub(crate) fn begin(
        &self,
        (tenant, key): (TenantId, ApiKeyId),
        (method, route, rpc): (&str, &str, &str),
        request_id: &str,
    ) -> Noted {
        let request = ApiRequest {
            request_id: request_id.to_owned(),
            api_key_id: key.to_string(),
            at: Some(timestamp(self.0.env.clock.now())),
            method: method.to_owned(),
            route: route.to_owned(),
            rpc: rpc.to_owned(),
            ..Default::default()
        };
        Noted { log: self.clone(), tenant, key, request }
    }

    fn put(&self, tenant: TenantId, key: ApiKeyId, request: ApiRequest) {
        let recorded = RecordedRequest { tenant_id: tenant.to_string(), request: Some(request) };
        if self.0.queue.try_send(recorded).is_ok() {
            return;
        }
        let mut gaps = self.0.gaps.lock().unwrap_or_else(PoisonError::into_inner);
        let size = gaps.len();
        match gaps.entry((tenant, key)) {
            std::collections::hash_map::Entry::Occupied(mut missed) => {
                *missed.get_mut() = missed.get().saturating_add(1);
            }
            std::collections::hash_map::Entry::Vacant(place) if size < MOST_GAPS => {
                place.insert(1);
                tracing::warn!(%key, "requests of an API key are not recorded: the queue is full");
            }
            std::collections::hash_map::Entry::Vacant(_) => {
                tracing::warn!(%key, "a request of an API key is neither recorded nor counted");
            }
        }
    }

    /// What was counted and not yet recorded.
    fn gaps(&self) -> Vec<RecordedRequest> {
        let gaps = std::mem::take(&mut *self.0.gaps.lock().unwrap_or_else(PoisonError::into_inner));
        let env = &self.0.env;
        let recorded = gaps.into_iter().map(|((tenant, key), missed)| RecordedRequest {
            tenant_id: tenant.to_string(),
            request: Some(ApiRequest {
                request_id: env.entropy.uuid7(&env.clock).simple().to_string(),
                api_key_id: key.to_string(),
                at: Some(timestamp(env.clock.now())),
                missed,
                ..Default::default()
            }),
        });
        recorded.collect()
    }

    async fn run(self, mut waiting: mpsc::Receiver<RecordedRequest>) {
        let tasks = self.0.env.tasks.clone();
        let mut group = Vec::with_capacity(GROUP);
        loop {
            if group.is_empty() {
                tokio::select! {
                    _ = waiting.recv_many(&mut group, GROUP) => {}
                    () = tasks.stopped() => {
                        // The last requests are still being answered.
                        match tokio::time::timeout(QUIET, waiting.recv_many(&mut group, GROUP)).await {
                            Ok(_) => {}
                            Err(_) => return,
                        }
                    }
                }
                if group.len() < GROUP && !tasks.is_stopping() {
                    tasks.rest(COLLECT).await;
                    while group.len() < GROUP
                        && let Ok(next) = waiting.try_recv()
                    {
                        group.push(next);
                    }
                }
            }
            let room = GROUP - group.len();
            let gaps = self.gaps();
            // More keys with gaps than fit into one call go with the next.
            let (now, later) = gaps.split_at(room.min(gaps.len()));
            group.extend_from_slice(now);
            self.put_back(later);
            match self.send(&group).await {
                Ok(()) => group.clear(),
                Err(error) => {
                    tracing::warn!(%error, waiting = waiting.len(), "requests of API keys are not recorded yet");
                    if tasks.is_stopping() {
                        return;
                    }
                    tasks.rest(AGAIN).await;
                }
            }
        }
    }

    fn put_back(&self, gaps: &[RecordedRequest]) {
        let mut counted = self.0.gaps.lock().unwrap_or_else(PoisonError::into_inner);
        for gap in gaps {
            let Some(request) = &gap.request else { continue };
            if let (Ok(tenant), Ok(key)) = (gap.tenant_id.parse(), request.api_key_id.parse()) {
                *counted.entry((tenant, key)).or_default() += request.missed;
            }
        }
    }

    async fn send(&self, group: &[RecordedRequest]) -> Result<(), Failure> {
        let env = &self.0.env;
        let context = CallContext::for_job("gateway.record_api_requests", &env.entropy, PATIENCE);
        let mut identity = ApiKeyServiceClient::new(env.peers.client("identity", &context));
        let request = RecordApiRequestsRequest { requests: group.to_vec() };
        match tokio::time::timeout(PATIENCE, identity.record_api_requests(request)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) => Err(Failure::from_status(&status)),
            Err(_) => Err(Failure::late()),
        }
    }
}
