//! The durable saga of an erasure: one step at a time, each remembered before the next is tried.
//!
//! Nothing of it lives in memory. A process claims an erasure with a lease and a fencing token, reads where it stands,
//! tries the one step that comes next ([`crate::domain::next`]) and writes down what came of it; killed anywhere, the next
//! process does that step again. Every step may therefore run twice, here and at the participants. It never gives up:
//! what fails is tried again with growing waits, and anybody may see why it waits.

mod certify;
mod own_steps;
mod participant;
mod view;

use std::{pin::pin, sync::Arc, time::Duration};

use lethe_ambient::{Clock, Entropy};
use lethe_ids::{CertificateId, ErasureId, TenantId};
use lethe_keyring::{KeyError, Keyring};
use lethe_outbox::{Actor, Audit, Event, Outbox, kind};
use lethe_proto::{
    erasure::{FenceResponse, Scope},
    event::ErasureAdvanced,
};
use lethe_service::{CallContext, Database, Failure, Peers, TenantTx};
use prost::Message;
use time::OffsetDateTime;

pub use view::participant_states;

use crate::{
    NAME,
    api::encode::mode_to_wire,
    certificate::{Digest, LedgerReference, Signer},
    config::AdvanceConfig,
    domain::{Code, Mode, Next, State, Step, next},
    ledger::Ledger,
    store::{self, Lease, StepRow},
};

/// The name of the job, in contexts, audit events and signals.
pub const JOB: &str = "advance_erasures";

/// What the saga works with.
#[derive(Clone)]
pub struct Saga {
    /// Erasures and their steps.
    pub db: Database,
    /// The participants.
    pub peers: Peers,
    /// The keys of the censuses.
    pub keyring: Keyring,
    /// Where an erasure is recorded before anything is destroyed.
    pub ledger: Ledger,
    /// Signs.
    pub signer: Arc<Signer>,
    /// Says what happened.
    pub outbox: Outbox,
    /// The time.
    pub clock: Clock,
    /// Nonces and ids.
    pub entropy: Entropy,
    /// Leases and waits.
    pub config: AdvanceConfig,
    /// From the first certificate to the second verification.
    pub re_verify_after: Duration,
}

/// What one call of [`Saga::advance`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advanced {
    /// A step is done.
    Did(Step, Option<String>),
    /// A step failed; tried again later.
    Failed(Step, Option<String>, Code),
    /// The erasure is in another state.
    Entered(State),
    /// Nothing to do before then.
    Waits(OffsetDateTime),
    /// Nothing to do ever.
    Rests,
    /// Another process has it, or it was cancelled.
    Lost,
}

/// An erasure as it was read for one step.
struct Loaded {
    erasure: store::Erasure,
    participants: Vec<String>,
    steps: Vec<StepRow>,
}

/// What a step came to.
enum Outcome {
    /// Done; with the participant's answer.
    Done(Option<Vec<u8>>),
    /// Verified, and something was there.
    Found,
    /// The ledger's entry is durable.
    Recorded(LedgerReference),
    /// Signed.
    Signed(Box<certify::Signed>),
}

/// Why a step is not done.
enum Trouble {
    /// It waits for this; what the operator may know of it.
    Waits(Code, Option<Box<Failure>>),
    /// The claim is gone.
    Lost,
    /// Our own database.
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<KeyError> for Trouble {
    fn from(error: KeyError) -> Self {
        let failure = Failure::from(error);
        let code = match failure.code {
            tonic::Code::Unavailable => Code::of_reason(&failure.reason),
            _ => Code::KEYSTORE_UNAVAILABLE,
        };
        Self::Waits(code, Some(Box::new(failure)))
    }
}

impl Saga {
    /// Erasures that are due, of any tenant; more than one process claims at a time.
    ///
    /// # Errors
    /// When PostgreSQL fails.
    pub async fn due(&self) -> Result<Vec<(TenantId, ErasureId)>, sqlx::Error> {
        store::due(&self.db, self.clock.now(), self.config.concurrency.saturating_mul(4)).await
    }

    /// Claims an erasure that is due; `None` when it is not, or another process was first.
    ///
    /// # Errors
    /// When PostgreSQL fails.
    pub async fn claim(&self, tenant: TenantId, erasure: ErasureId) -> Result<Option<Lease>, sqlx::Error> {
        let mut tx = self.db.tenant(tenant).await?;
        let lease = store::claim(&mut tx, erasure, self.clock.now(), self.lease_end()).await?;
        tx.commit().await?;
        Ok(lease)
    }

    /// Gives the claim back: due again at `next`, or never by itself.
    ///
    /// # Errors
    /// When PostgreSQL fails.
    pub async fn release(&self, lease: Lease, next: Option<OffsetDateTime>) -> Result<(), sqlx::Error> {
        let mut tx = self.db.tenant(lease.tenant).await?;
        store::release(&mut tx, lease, next).await?;
        tx.commit().await
    }

    /// Does the one thing that comes next.
    ///
    /// # Errors
    /// When PostgreSQL fails: nothing is remembered of the step then, and it comes again.
    pub async fn advance(&self, lease: Lease) -> Result<Advanced, sqlx::Error> {
        let Some(loaded) = self.load(lease).await? else { return Ok(Advanced::Lost) };
        let stages: Vec<_> = loaded.steps.iter().map(|row| row.stage.clone()).collect();
        match next(loaded.erasure.state, &stages, self.clock.now()) {
            Next::Rest if loaded.erasure.state.is_over() => Ok(Advanced::Rests),
            Next::Rest => {
                // No order of ours leads here: an operator must look, and nothing is forgotten meanwhile.
                tracing::error!(erasure = %lease.erasure, "an erasure has steps that cannot be done");
                Ok(Advanced::Waits(self.clock.now() + self.config.backoff().most))
            }
            Next::Wait(at) => Ok(Advanced::Waits(at)),
            Next::Enter(state) => self.enter(lease, &loaded, state).await,
            Next::Try(index) => {
                let stage = &stages[index];
                let (step, position) = (stage.step, stage.participant);
                let name = position.and_then(|position| loaded.participants.get(position).cloned());
                let work = self.attempt(lease, &loaded, step, position);
                match self.holding(lease, work).await? {
                    None | Some(Err(Trouble::Lost)) => Ok(Advanced::Lost),
                    Some(Err(Trouble::Database(error))) => Err(error),
                    Some(Err(Trouble::Waits(code, failure))) => {
                        log_failure(lease, step, name.as_deref(), &code, failure.as_deref());
                        self.fail(lease, step, position, stage.attempts, name, code).await
                    }
                    Some(Ok(Outcome::Found)) => {
                        log_failure(lease, step, name.as_deref(), &Code::FOUND_AFTER_PURGE, None);
                        self.found(lease, step, position, stage.attempts, name).await
                    }
                    Some(Ok(outcome)) => self.finish(lease, &loaded, (step, position), name, outcome).await,
                }
            }
        }
    }

    async fn load(&self, lease: Lease) -> Result<Option<Loaded>, sqlx::Error> {
        let mut tx = self.db.tenant(lease.tenant).await?;
        let erasure = store::get(&mut tx, lease.erasure).await?;
        let Some(erasure) = erasure.filter(|erasure| erasure.lease_token == lease.token) else {
            return Ok(None);
        };
        let participants = store::participants(&mut tx, lease.erasure).await?;
        let steps = store::steps(&mut tx, lease.erasure).await?;
        Ok(Some(Loaded {
            erasure,
            participants: participants.into_iter().map(|(name, _)| name).collect(),
            steps,
        }))
    }

    /// Tries a step. Changes nothing of the erasure's rows but the point of no return.
    async fn attempt(
        &self,
        lease: Lease,
        loaded: &Loaded,
        step: Step,
        position: Option<usize>,
    ) -> Result<Outcome, Trouble> {
        match step {
            Step::CensusKey => self.make_census_key(lease, loaded).await,
            Step::Fence => {
                let call = self.call(lease, loaded, position)?;
                let answer = call.fence(self.census_key(lease, loaded).await?).await?;
                Ok(Outcome::Done(Some(answer.encode_to_vec())))
            }
            Step::Ledger => self.record(lease, loaded).await,
            Step::Purge => {
                let call = self.call(lease, loaded, position)?;
                let answer = call.purge(self.census_key(lease, loaded).await?).await?;
                Ok(Outcome::Done(Some(answer.encode_to_vec())))
            }
            Step::Verify | Step::ReVerify => {
                let call = self.call(lease, loaded, position)?;
                let fenced: FenceResponse = loaded.answer(Step::Fence, position)?;
                let answer = call.verify_absent(self.census_key(lease, loaded).await?, &fenced).await?;
                match participant::is_absent(&answer) {
                    // What is held is certified as held; the second certificate waits for its release.
                    true if step == Step::ReVerify && participant::holds(&answer) => {
                        Err(Trouble::Waits(Code::LEGAL_HOLD, None))
                    }
                    true => Ok(Outcome::Done(Some(answer.encode_to_vec()))),
                    false => Ok(Outcome::Found),
                }
            }
            Step::Certify => self.certify(lease, loaded).map(|signed| Outcome::Signed(Box::new(signed))),
            Step::DestroyCensusKey => self.destroy_census_key(lease, loaded).await,
            Step::ReCertify => {
                self.re_certify(lease, loaded).await.map(|signed| Outcome::Signed(Box::new(signed)))
            }
        }
    }

    fn call<'a>(
        &self,
        lease: Lease,
        loaded: &'a Loaded,
        position: Option<usize>,
    ) -> Result<participant::Call<'a>, Trouble> {
        let name = position.and_then(|position| loaded.participants.get(position)).ok_or_else(damaged)?;
        let context = CallContext::for_job(JOB, &self.entropy, self.config.call_timeout());
        let erasure = &loaded.erasure;
        let scope = Scope {
            scope_id: erasure.scope.to_string(),
            tenant_id: lease.tenant.to_string(),
            erasure_id: lease.erasure.to_string(),
            contact_id: erasure.contact.ok_or_else(damaged)?.to_string(),
            mode: mode_to_wire(erasure.mode).into(),
            conversation_ids: loaded.conversations()?,
            suppress: erasure.suppress,
            other_contact_ids: loaded.other_contacts()?,
        };
        Ok(participant::Call::new(name, self.peers.client(name, &context), scope))
    }

    /// Does the work and keeps the claim meanwhile; `None` when the claim was lost, and the work given up.
    async fn holding<T>(
        &self,
        lease: Lease,
        work: impl Future<Output = T>,
    ) -> Result<Option<T>, sqlx::Error> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(Some(done)),
                () = tokio::time::sleep(self.config.lease() / 3) => {
                    let mut tx = self.db.tenant(lease.tenant).await?;
                    if !store::renew(&mut tx, lease, self.lease_end()).await? {
                        return Ok(None);
                    }
                    tx.commit().await?;
                }
            }
        }
    }

    /// Begins a transaction that only the claim's holder may commit.
    async fn held(&self, lease: Lease) -> Result<Option<TenantTx>, sqlx::Error> {
        let mut tx = self.db.tenant(lease.tenant).await?;
        Ok(store::renew(&mut tx, lease, self.lease_end()).await?.then_some(tx))
    }

    async fn enter(&self, lease: Lease, loaded: &Loaded, state: State) -> Result<Advanced, sqlx::Error> {
        let Some(mut tx) = self.held(lease).await? else { return Ok(Advanced::Lost) };
        store::enter(&mut tx, lease, state, self.clock.now()).await?;
        self.announce(&mut tx, lease.erasure, state, loaded.erasure.version + 1).await?;
        tx.commit().await?;
        self.outbox.wake();
        Ok(Advanced::Entered(state))
    }

    /// Puts `retention.erasure.advanced` into the transaction.
    pub(crate) async fn announce(
        &self,
        tx: &mut TenantTx,
        erasure: ErasureId,
        state: State,
        version: u64,
    ) -> Result<(), sqlx::Error> {
        let payload = ErasureAdvanced {
            erasure_id: erasure.to_string(),
            state: state.text().to_owned(),
            version: None,
        };
        let event = Event { kind: kind::ERASURE_ADVANCED, aggregate: erasure.uuid(), seq: version, payload };
        self.outbox.put(tx, &event).await
    }

    async fn fail(
        &self,
        lease: Lease,
        step: Step,
        position: Option<usize>,
        attempts: u32,
        name: Option<String>,
        code: Code,
    ) -> Result<Advanced, sqlx::Error> {
        let Some(mut tx) = self.held(lease).await? else { return Ok(Advanced::Lost) };
        let next = self.clock.now() + self.config.backoff().after(attempts.saturating_add(1));
        store::fail_step(&mut tx, lease, (step, position), Some(&code), next).await?;
        tx.commit().await?;
        Ok(Advanced::Failed(step, name, code))
    }

    /// Purge again, then verify again.
    async fn found(
        &self,
        lease: Lease,
        step: Step,
        position: Option<usize>,
        attempts: u32,
        name: Option<String>,
    ) -> Result<Advanced, sqlx::Error> {
        let Some(mut tx) = self.held(lease).await? else { return Ok(Advanced::Lost) };
        let code = Code::FOUND_AFTER_PURGE;
        let next = self.clock.now() + self.config.backoff().after(attempts.saturating_add(1));
        store::fail_step(&mut tx, lease, (step, position), Some(&code), next).await?;
        store::reset_purge(&mut tx, lease, position, next).await?;
        tx.commit().await?;
        Ok(Advanced::Failed(step, name, code))
    }

    async fn finish(
        &self,
        lease: Lease,
        loaded: &Loaded,
        (step, position): (Step, Option<usize>),
        name: Option<String>,
        outcome: Outcome,
    ) -> Result<Advanced, sqlx::Error> {
        let Some(mut tx) = self.held(lease).await? else { return Ok(Advanced::Lost) };
        let now = self.clock.now();
        let mut answer = None;
        match outcome {
            Outcome::Done(bytes) => answer = bytes,
            Outcome::Found => {}
            Outcome::Recorded(reference) => {
                store::recorded(&mut tx, lease, reference).await?;
                self.drop_suppressions(&mut tx, lease, loaded).await?;
            }
            Outcome::Signed(signed) => self.keep(&mut tx, lease, loaded, &signed).await?,
        }
        store::finish_step(&mut tx, lease, (step, position), answer.as_deref(), now).await?;
        tx.commit().await?;
        self.outbox.wake();
        Ok(Advanced::Did(step, name))
    }

    /// Keeps a certificate. The first sets the time of the second verification; after the second nothing here says any more
    /// which erasure was whose.
    async fn keep(
        &self,
        tx: &mut TenantTx,
        lease: Lease,
        loaded: &Loaded,
        signed: &certify::Signed,
    ) -> Result<(), sqlx::Error> {
        let opening = signed.opening.as_ref().map(|(commitment, nonce)| (commitment, nonce));
        let key = (signed.certificate, signed.sequence);
        store::insert_certificate(tx, lease, key, &signed.envelope, signed.certified_at, opening).await?;
        if signed.sequence == 1 {
            store::note_held(tx, lease, signed.held).await?;
            let due = signed.certified_at + self.re_verify_after;
            for position in 0..loaded.participants.len() {
                store::fail_step(tx, lease, (Step::ReVerify, Some(position)), None, due).await?;
            }
        } else {
            store::forget(tx, lease.erasure).await?;
        }
        let target = lease.erasure.to_string();
        let audit = Audit {
            actor: Actor::Service(NAME),
            action: JOB,
            target_kind: "erasure",
            target_id: &target,
            contact: None,
            request_id: JOB,
        };
        self.outbox.audit(tx, &audit).await.map(drop)
    }

    fn lease_end(&self) -> OffsetDateTime {
        self.clock.now() + self.config.lease()
    }

    fn new_certificate_id(&self) -> CertificateId {
        CertificateId::new(self.entropy.uuid7(&self.clock))
    }
}

impl Loaded {
    /// What a participant answered, or another step's result.
    fn answer<M: Message + Default>(&self, step: Step, position: Option<usize>) -> Result<M, Trouble> {
        let row = self.steps.iter().find(|row| row.stage.step == step && row.stage.participant == position);
        let answer = row.and_then(|row| row.answer.as_deref()).ok_or_else(damaged)?;
        M::decode(answer).map_err(|_| damaged())
    }

    /// What the fence is around where a part of the contact is erased: as the request says, or, of its e-mail, as messaging
    /// said when it was fenced, before any other.
    fn conversations(&self) -> Result<Vec<String>, Trouble> {
        let erasure = &self.erasure;
        match erasure.mode {
            Mode::Everything | Mode::ContactOnly => Ok(Vec::new()),
            Mode::Conversation => Ok(vec![erasure.conversation.ok_or_else(damaged)?.to_string()]),
            Mode::Email => {
                let first = self.steps.iter().find(|row| {
                    row.stage.step == Step::Fence && row.stage.participant == Some(0) && row.answer.is_some()
                });
                let Some(_) = first else { return Ok(Vec::new()) };
                let fenced: FenceResponse = self.answer(Step::Fence, Some(0))?;
                Ok(fenced.conversation_ids)
            }
        }
    }

    /// The other ids that the person was a contact under, as messaging said when it was fenced, before any other.
    fn other_contacts(&self) -> Result<Vec<String>, Trouble> {
        let first = self.steps.iter().find(|row| {
            row.stage.step == Step::Fence && row.stage.participant == Some(0) && row.answer.is_some()
        });
        let (Some(_), Some(contact)) = (first, self.erasure.contact) else { return Ok(Vec::new()) };
        let mut fenced: FenceResponse = self.answer(Step::Fence, Some(0))?;
        fenced.contact_ids.retain(|id| *id != contact.to_string());
        Ok(fenced.contact_ids)
    }

    /// The digests of the participants' censuses, in their order.
    fn censuses(&self) -> Result<Vec<Digest>, Trouble> {
        (0..self.participants.len())
            .map(|position| {
                let fenced: FenceResponse = self.answer(Step::Fence, Some(position))?;
                <[u8; 32]>::try_from(&fenced.census_digest[..]).map(Digest).map_err(|_| damaged())
            })
            .collect()
    }
}

/// Rows that no code of ours wrote: an operator must look.
fn damaged() -> Trouble {
    Trouble::Database(store::damaged("the erasure's rows do not fit its state"))
}

fn log_failure(lease: Lease, step: Step, participant: Option<&str>, code: &Code, failure: Option<&Failure>) {
    let cause = failure.map(|failure| match &failure.source {
        Some(source) => format!("{failure}: {source}"),
        None => failure.to_string(),
    });
    tracing::warn!(
        erasure = %lease.erasure,
        step = step.text(),
        participant,
        code = code.text(),
        cause,
        "a step of an erasure waits"
    );
}
