//! `ParticipantService`: identity's answers to an erasure. One file an RPC.

mod count;
mod fence;
mod purge;
mod verify_absent;

use lethe_proto::erasure::{
    CountRequest, CountResponse, FenceRequest, FenceResponse, Mode, PurgeRequest, PurgeResponse,
    Scope as Asked, Tally, VerifyAbsentRequest, VerifyAbsentResponse,
    participant_service_server::ParticipantService,
};
use lethe_service::id;
use tonic::{Request, Response, Status};

use super::Identity;
use crate::{Error, domain::Invalid, erase::Scope};

#[tonic::async_trait]
impl ParticipantService for Identity {
    async fn count(&self, request: Request<CountRequest>) -> Result<Response<CountResponse>, Status> {
        count::handle(self, request).await.map(Response::new).map_err(Status::from)
    }

    async fn fence(&self, request: Request<FenceRequest>) -> Result<Response<FenceResponse>, Status> {
        fence::handle(self, request).await.map(Response::new).map_err(Status::from)
    }

    async fn purge(&self, request: Request<PurgeRequest>) -> Result<Response<PurgeResponse>, Status> {
        purge::handle(self, request).await.map(Response::new).map_err(Status::from)
    }

    async fn verify_absent(
        &self,
        request: Request<VerifyAbsentRequest>,
    ) -> Result<Response<VerifyAbsentResponse>, Status> {
        verify_absent::handle(self, request).await.map(Response::new).map_err(Status::from)
    }
}

fn scope(asked: Option<&Asked>) -> Result<Scope, Error> {
    let asked = asked.ok_or(Invalid::new("scope", "is missing"))?;
    let part = match asked.mode() {
        Mode::Conversation | Mode::Email => {
            let ids = asked.conversation_ids.iter().map(|text| id("scope.conversation_ids", text));
            Some(ids.collect::<Result<_, _>>()?)
        }
        Mode::Unspecified | Mode::Everything | Mode::ContactOnly => None,
    };
    let others = asked.other_contact_ids.iter().map(|text| id("scope.other_contact_ids", text));
    Ok(Scope {
        id: id("scope.scope_id", &asked.scope_id)?,
        tenant: id("scope.tenant_id", &asked.tenant_id)?,
        erasure: id("scope.erasure_id", &asked.erasure_id)?,
        contact: id("scope.contact_id", &asked.contact_id)?,
        others: others.collect::<Result<_, _>>()?,
        part,
    })
}

fn census_key(bytes: &[u8]) -> Result<zeroize::Zeroizing<[u8; 32]>, Error> {
    let key: [u8; 32] = bytes.try_into().map_err(|_| Invalid::new("census_key", "must be 32 bytes"))?;
    Ok(zeroize::Zeroizing::new(key))
}

fn tally(count: i64) -> Tally {
    Tally { store: "postgres".to_owned(), kind: "audit_events".to_owned(), count: count.unsigned_abs() }
}
