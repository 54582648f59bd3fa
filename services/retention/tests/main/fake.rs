//! A participant that does as a test tells it, and writes down what it is asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use lethe_ambient::Clock;
use lethe_proto::erasure::{
    Attestation, CountRequest, CountResponse, FenceRequest, FenceResponse, Finding, HoldRequest,
    HoldResponse, PurgeRequest, PurgeResponse, ReleaseRequest, ReleaseResponse, Scope, Suppression, Tally,
    VerifyAbsentRequest, VerifyAbsentResponse,
    hold_service_server::{HoldService, HoldServiceServer},
    participant_service_server::{ParticipantService, ParticipantServiceServer},
};
use lethe_service::{Parts, timestamp};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

type Hook = Arc<dyn Fn(&str, &Scope) + Send + Sync>;

/// What all fakes of a test were asked, in order: `messaging.fence`.
pub(crate) type Calls = Arc<Mutex<Vec<String>>>;

#[derive(Clone)]
pub(crate) struct Fake {
    name: &'static str,
    clock: Clock,
    calls: Calls,
    part: Arc<Mutex<Part>>,
}

/// How a fake behaves; a test changes it between steps.
pub(crate) struct Part {
    pub(crate) known: bool,
    pub(crate) messages: u64,
    /// What Purge says that it deleted.
    pub(crate) deleted: u64,
    /// What it says of a part that is fenced.
    pub(crate) conversation_ids: Vec<String>,
    /// What it put on the list.
    pub(crate) suppressions: Vec<Suppression>,
    /// What a release lets go of is being erased.
    pub(crate) being_erased: bool,
    /// Refuses so many calls, whichever they are, with these reasons.
    pub(crate) refusals: VecDeque<Status>,
    /// Answers only as often as the test permits.
    pub(crate) gate: Option<Arc<Semaphore>>,
    /// How many times VerifyAbsent still finds something.
    pub(crate) finds: u32,
    /// What VerifyAbsent says instead of the truth.
    pub(crate) findings: Option<Vec<Finding>>,
    /// What FenceResponse has as digest.
    pub(crate) digest: Vec<u8>,
    /// Looks around whenever it is asked.
    pub(crate) hook: Option<Hook>,
    /// The keys that it was given.
    pub(crate) census_keys: Vec<Vec<u8>>,
}

impl Fake {
    pub(crate) fn new(name: &'static str, clock: &Clock, calls: &Calls) -> Self {
        let part = Part {
            known: name == "messaging",
            messages: 3,
            deleted: 5,
            conversation_ids: Vec::new(),
            suppressions: Vec::new(),
            being_erased: false,
            refusals: VecDeque::new(),
            gate: None,
            finds: 0,
            findings: None,
            digest: vec![7; 32],
            hook: None,
            census_keys: Vec::new(),
        };
        Self { name, clock: clock.clone(), calls: calls.clone(), part: Arc::new(Mutex::new(part)) }
    }

    pub(crate) fn part(&self) -> MutexGuard<'_, Part> {
        self.part.lock().expect("no test panics in here")
    }

    pub(crate) fn parts(&self) -> Parts {
        Parts {
            name: self.name,
            grpc: tonic::service::Routes::new(ParticipantServiceServer::new(self.clone()))
                .add_service(HoldServiceServer::new(self.clone())),
            jobs: Vec::new(),
            probes: Vec::new(),
            http: None,
        }
    }

    async fn asked(&self, rpc: &str, scope: Option<&Scope>, key: Option<&[u8]>) -> Result<(), Status> {
        let scope = scope.expect("every call has a scope");
        self.calls.lock().expect("no test panics in here").push(format!("{}.{rpc}", self.name));
        let (hook, refusal, gate) = {
            let mut part = self.part();
            part.census_keys.extend(key.map(<[u8]>::to_vec));
            (part.hook.clone(), part.refusals.pop_front(), part.gate.clone())
        };
        if let Some(hook) = hook {
            hook(rpc, scope);
        }
        if let Some(gate) = gate {
            gate.acquire().await.expect("nobody closes it").forget();
        }
        refusal.map_or(Ok(()), Err)
    }
}

pub(crate) fn tally(count: u64) -> Tally {
    Tally { store: "postgres".to_owned(), kind: "messages".to_owned(), count }
}

pub(crate) fn finding(looked_for: u64, found: u64) -> Finding {
    Finding {
        store: "postgres".to_owned(),
        kind: "messages".to_owned(),
        attestation: Attestation::ReRead.into(),
        looked_for,
        found,
        code: "ROWS_ABSENT".to_owned(),
        until: None,
    }
}

#[tonic::async_trait]
impl HoldService for Fake {
    async fn hold(&self, _: Request<HoldRequest>) -> Result<Response<HoldResponse>, Status> {
        self.calls.lock().expect("no test panics in here").push(format!("{}.hold", self.name));
        let refusal = self.part().refusals.pop_front();
        refusal.map_or(Ok(Response::new(HoldResponse {})), Err)
    }

    async fn release(&self, _: Request<ReleaseRequest>) -> Result<Response<ReleaseResponse>, Status> {
        self.calls.lock().expect("no test panics in here").push(format!("{}.release", self.name));
        let (refusal, being_erased) = {
            let mut part = self.part();
            (part.refusals.pop_front(), part.being_erased)
        };
        refusal.map_or(Ok(Response::new(ReleaseResponse { being_erased })), Err)
    }
}

#[tonic::async_trait]
impl ParticipantService for Fake {
    async fn count(&self, request: Request<CountRequest>) -> Result<Response<CountResponse>, Status> {
        self.asked("count", request.get_ref().scope.as_ref(), None).await?;
        let part = self.part();
        Ok(Response::new(CountResponse {
            tallies: vec![tally(part.messages)],
            known: part.known,
            ..CountResponse::default()
        }))
    }

    async fn fence(&self, request: Request<FenceRequest>) -> Result<Response<FenceResponse>, Status> {
        let request = request.into_inner();
        self.asked("fence", request.scope.as_ref(), Some(&request.census_key)).await?;
        let part = self.part();
        Ok(Response::new(FenceResponse {
            census_digest: part.digest.clone().into(),
            tallies: vec![tally(part.messages)],
            fenced_at: Some(timestamp(self.clock.now())),
            conversation_ids: part.conversation_ids.clone(),
            suppressions: part.suppressions.clone(),
            ..FenceResponse::default()
        }))
    }

    async fn purge(&self, request: Request<PurgeRequest>) -> Result<Response<PurgeResponse>, Status> {
        let request = request.into_inner();
        self.asked("purge", request.scope.as_ref(), Some(&request.census_key)).await?;
        let evidence = vec![tally(self.part().deleted)];
        Ok(Response::new(PurgeResponse { evidence, purged_at: Some(timestamp(self.clock.now())) }))
    }

    async fn verify_absent(
        &self,
        request: Request<VerifyAbsentRequest>,
    ) -> Result<Response<VerifyAbsentResponse>, Status> {
        let request = request.into_inner();
        self.asked("verify_absent", request.scope.as_ref(), Some(&request.census_key)).await?;
        let mut part = self.part();
        let found = u64::from(part.finds > 0);
        part.finds = part.finds.saturating_sub(1);
        let residual = Finding {
            store: "keystore".to_owned(),
            kind: "wrapped_keys".to_owned(),
            attestation: Attestation::Residual.into(),
            looked_for: 0,
            found: 0,
            code: "OLD_PAGES_KEYSTORE".to_owned(),
            until: Some(timestamp(self.clock.now() + time::Duration::days(15))),
        };
        let findings = part.findings.clone().unwrap_or_else(|| vec![finding(part.messages, found), residual]);
        Ok(Response::new(VerifyAbsentResponse { findings, verified_at: Some(timestamp(self.clock.now())) }))
    }
}
