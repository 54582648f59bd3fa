//! The RPCs, one file each: decode, domain, store, outbox, encode. Who may call stands in the protos and was checked before.

mod cancel_erasure;
mod confirm_erasure;
pub(crate) mod encode;
mod get_certificate;
mod get_erasure;
mod list_certificate_keys;
mod list_erasures;
mod list_holds;
mod operation;
mod participant;
mod place_hold;
mod release_hold;
mod request_erasure;

use std::{sync::Arc, time::Duration};

use lethe_ambient::{Clock, Entropy};
use lethe_calendar::Calendar;
use lethe_ids::{ErasureId, HoldId, TenantId};
use lethe_outbox::Audit;
use lethe_proto::retention::{
    CancelErasureRequest, ConfirmErasureRequest, Erasure, GetCertificateRequest, GetCertificateResponse,
    GetErasureRequest, Hold, ListCertificateKeysRequest, ListCertificateKeysResponse, ListErasuresRequest,
    ListErasuresResponse, ListHoldsRequest, ListHoldsResponse, PlaceHoldRequest, ReleaseHoldRequest,
    RequestErasureRequest, RequestErasureResponse, retention_service_server::RetentionService,
};
use lethe_service::{CallContext, Database, TenantTx};
use tokio::sync::Notify;
use tonic::{Request, Response, Status};

pub use operation::ErasureOperation;
pub use participant::Participant;

use crate::{error::Error, saga::Saga};

/// Serves `lethe.retention.v1.RetentionService`.
#[derive(Clone)]
pub struct Api {
    /// Participants, database, outbox, clock and signer are the saga's.
    pub saga: Saga,
    /// Due dates.
    pub calendar: Calendar,
    /// Who takes part in an erasure that is requested now.
    pub participants: Vec<String>,
    /// The longest that a participant may take to count.
    pub count_timeout: Duration,
    /// Wakes the job that advances erasures.
    pub due: Arc<Notify>,
}

/// Who asks, and under which request.
struct Asking {
    tenant: TenantId,
    actor: lethe_access::Actor,
    context: CallContext,
}

impl Asking {
    fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let principal = lethe_access::principal(request)?;
        Ok(Self {
            tenant: principal.tenant,
            actor: principal.actor(),
            context: CallContext::of(request).clone(),
        })
    }
}

impl Api {
    fn db(&self) -> &Database {
        &self.saga.db
    }

    fn clock(&self) -> &Clock {
        &self.saga.clock
    }

    fn entropy(&self) -> &Entropy {
        &self.saga.entropy
    }

    /// Puts who did what to an erasure into the transaction. The contact is not named: the erasure is its alias.
    async fn audit(
        &self,
        tx: &mut TenantTx,
        asking: &Asking,
        action: &str,
        erasure: ErasureId,
    ) -> Result<(), Error> {
        let target = erasure.to_string();
        let audit = Audit {
            actor: asking.actor.into(),
            action,
            target_kind: "erasure",
            target_id: &target,
            contact: None,
            request_id: &asking.context.request_id,
        };
        self.saga.outbox.audit(tx, &audit).await?;
        Ok(())
    }
}

impl Api {
    /// Puts who did what to a hold into the transaction. What is held is not named.
    async fn audit_hold(
        &self,
        tx: &mut TenantTx,
        asking: &Asking,
        action: &str,
        hold: HoldId,
    ) -> Result<(), Error> {
        let target = hold.to_string();
        let audit = Audit {
            actor: asking.actor.into(),
            action,
            target_kind: "hold",
            target_id: &target,
            contact: None,
            request_id: &asking.context.request_id,
        };
        self.saga.outbox.audit(tx, &audit).await?;
        Ok(())
    }
}

#[tonic::async_trait]
impl RetentionService for Api {
    async fn place_hold(&self, request: Request<PlaceHoldRequest>) -> Result<Response<Hold>, Status> {
        let asking = Asking::of(&request)?;
        Ok(Response::new(place_hold::place_hold(self, &asking, request.into_inner()).await?))
    }

    async fn release_hold(&self, request: Request<ReleaseHoldRequest>) -> Result<Response<Hold>, Status> {
        let asking = Asking::of(&request)?;
        Ok(Response::new(release_hold::release_hold(self, &asking, request.into_inner()).await?))
    }

    async fn list_holds(
        &self,
        request: Request<ListHoldsRequest>,
    ) -> Result<Response<ListHoldsResponse>, Status> {
        let asking = Asking::of(&request)?;
        Ok(Response::new(list_holds::list_holds(self, &asking, request.into_inner()).await?))
    }

    async fn request_erasure(
        &self,
        request: Request<RequestErasureRequest>,
    ) -> Result<Response<RequestErasureResponse>, Status> {
        let asking = Asking::of(&request)?;
        Ok(Response::new(request_erasure::request_erasure(self, &asking, request.into_inner()).await?))
    }

    async fn confirm_erasure(
        &self,
        request: Request<ConfirmErasureRequest>,
    ) -> Result<Response<Erasure>, Status> {
        let asking = Asking::of(&request)?;
        Ok(Response::new(confirm_erasure::confirm_erasure(self, &asking, request.into_inner()).await?))
    }

    async fn cancel_erasure(
        &self,
        request: Request<CancelErasureRequest>,
    ) -> Result<Response<Erasure>, Status> {
        let asking = Asking::of(&request)?;
        Ok(Response::new(cancel_erasure::cancel_erasure(self, &asking, request.into_inner()).await?))
    }

    async fn get_erasure(&self, request: Request<GetErasureRequest>) -> Result<Response<Erasure>, Status> {
        let asking = Asking::of(&request)?;
        Ok(Response::new(get_erasure::get_erasure(self, &asking, request.into_inner()).await?))
    }

    async fn list_erasures(
        &self,
        request: Request<ListErasuresRequest>,
    ) -> Result<Response<ListErasuresResponse>, Status> {
        let asking = Asking::of(&request)?;
        Ok(Response::new(list_erasures::list_erasures(self, &asking, request.into_inner()).await?))
    }

    async fn get_certificate(
        &self,
        request: Request<GetCertificateRequest>,
    ) -> Result<Response<GetCertificateResponse>, Status> {
        let asking = Asking::of(&request)?;
        Ok(Response::new(get_certificate::get_certificate(self, &asking, request.into_inner()).await?))
    }

    async fn list_certificate_keys(
        &self,
        _: Request<ListCertificateKeysRequest>,
    ) -> Result<Response<ListCertificateKeysResponse>, Status> {
        Ok(Response::new(list_certificate_keys::list_certificate_keys(self)?))
    }
}
