//! `lethe.erasure.v1.ParticipantService` over this service's own rows.

use lethe_ambient::{Clock, Entropy};
use lethe_proto::erasure::{
    CountRequest, CountResponse, FenceRequest, FenceResponse, PurgeRequest, PurgeResponse,
    Scope as WireScope, VerifyAbsentRequest, VerifyAbsentResponse,
    participant_service_server::ParticipantService,
};
use lethe_service::{Database, Failure, id};
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use super::encode;
use crate::{
    erase::{self, Scope},
    error::Error,
    store, verify,
};

/// Serves what [`erase`] and [`verify`] do.
#[derive(Clone)]
pub struct Participant {
    /// This service's own.
    pub db: Database,
    /// The time.
    pub clock: Clock,
    /// Nonces.
    pub entropy: Entropy,
}

fn scope(scope: Option<WireScope>) -> Result<Scope, Failure> {
    let scope = scope.ok_or_else(|| Failure::invalid("scope", "is missing"))?;
    let conversations = scope.conversation_ids.iter().map(|text| id("scope.conversation_ids", text));
    let others = scope.other_contact_ids.iter().map(|text| id("scope.other_contact_ids", text));
    Ok(Scope {
        scope: id("scope.scope_id", &scope.scope_id)?,
        tenant: id("scope.tenant_id", &scope.tenant_id)?,
        erasure: id("scope.erasure_id", &scope.erasure_id)?,
        contact: id("scope.contact_id", &scope.contact_id)?,
        others: others.collect::<Result<_, _>>()?,
        mode: encode::mode_of_wire(scope.mode()),
        conversations: conversations.collect::<Result<_, _>>()?,
    })
}

fn census_key(bytes: &[u8]) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let key = bytes.try_into().map_err(|_| Failure::invalid("census_key", "must be 32 bytes"))?;
    Ok(Zeroizing::new(key))
}

#[tonic::async_trait]
impl ParticipantService for Participant {
    async fn count(&self, request: Request<CountRequest>) -> Result<Response<CountResponse>, Status> {
        let scope = scope(request.into_inner().scope)?;
        let mut tx = self.db.tenant(scope.tenant).await.map_err(Error::from)?;
        let rows = store::own_rows(&mut tx, scope.whose()).await.map_err(Error::from)?;
        // An erasure that was asked for does not make a contact known.
        Ok(Response::new(CountResponse { tallies: erase::tallies(&rows), ..CountResponse::default() }))
    }

    async fn fence(&self, request: Request<FenceRequest>) -> Result<Response<FenceResponse>, Status> {
        let request = request.into_inner();
        let (scope, key) = (scope(request.scope)?, census_key(&request.census_key)?);
        Ok(Response::new(erase::fence(&self.db, &self.entropy, &scope, &key, self.clock.now()).await?))
    }

    async fn purge(&self, request: Request<PurgeRequest>) -> Result<Response<PurgeResponse>, Status> {
        let scope = scope(request.into_inner().scope)?;
        Ok(Response::new(erase::purge(&self.db, &scope, self.clock.now()).await?))
    }

    async fn verify_absent(
        &self,
        request: Request<VerifyAbsentRequest>,
    ) -> Result<Response<VerifyAbsentResponse>, Status> {
        let request = request.into_inner();
        let (scope, key) = (scope(request.scope)?, census_key(&request.census_key)?);
        Ok(Response::new(verify::verify_absent(&self.db, &scope, &key, self.clock.now()).await?))
    }
}
