//! The RPCs. One file each; what they share is how a scope is read.

mod count;
mod fence;
mod purge;
mod rebuild_index;
mod search_messages;
mod verify_absent;

use std::sync::Arc;

use lethe_proto::{
    erasure::{
        self, CountRequest, CountResponse, FenceRequest, FenceResponse, PurgeRequest, PurgeResponse, Tally,
        VerifyAbsentRequest, VerifyAbsentResponse,
        participant_service_server::{ParticipantService, ParticipantServiceServer},
    },
    search::{
        SearchMessagesRequest, SearchMessagesResponse,
        search_service_server::{SearchService, SearchServiceServer},
    },
};
use lethe_service::{Failure, Peers, id};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, service::Routes};

pub use rebuild_index::IndexOperation;

use crate::{
    erase::{Reach, Scope},
    indexer::Indexer,
};

/// What the RPCs stand on.
pub(crate) struct Api {
    pub(crate) indexer: Arc<Indexer>,
    pub(crate) peers: Peers,
    /// So many searches that wait look at the database at a time: the connections are the indexer's.
    pub(crate) looks: Semaphore,
}

/// The routes of all RPCs.
pub(crate) fn routes(api: Api) -> Routes {
    let api = Arc::new(api);
    Routes::new(SearchServiceServer::from_arc(api.clone()))
        .add_service(ParticipantServiceServer::from_arc(api))
}

#[tonic::async_trait]
impl SearchService for Api {
    async fn search_messages(
        &self,
        request: Request<SearchMessagesRequest>,
    ) -> Result<Response<SearchMessagesResponse>, Status> {
        Ok(Response::new(search_messages::search_messages(self, request).await?))
    }
}

#[tonic::async_trait]
impl ParticipantService for Api {
    async fn count(&self, request: Request<CountRequest>) -> Result<Response<CountResponse>, Status> {
        Ok(Response::new(count::count(self, request.into_inner()).await?))
    }

    async fn fence(&self, request: Request<FenceRequest>) -> Result<Response<FenceResponse>, Status> {
        Ok(Response::new(fence::fence(self, request.into_inner()).await?))
    }

    async fn purge(&self, request: Request<PurgeRequest>) -> Result<Response<PurgeResponse>, Status> {
        Ok(Response::new(purge::purge(self, request.into_inner()).await?))
    }

    async fn verify_absent(
        &self,
        request: Request<VerifyAbsentRequest>,
    ) -> Result<Response<VerifyAbsentResponse>, Status> {
        Ok(Response::new(verify_absent::verify_absent(self, request.into_inner()).await?))
    }
}

/// The scope of an erasure's request.
fn scope(scope: Option<erasure::Scope>) -> Result<Scope, Failure> {
    let scope = scope.ok_or_else(|| Failure::invalid("scope", "is missing"))?;
    let reach = match scope.mode() {
        erasure::Mode::Unspecified | erasure::Mode::Everything => Reach::Everything,
        erasure::Mode::ContactOnly => Reach::ContactOnly,
        erasure::Mode::Conversation | erasure::Mode::Email => {
            let ids = scope.conversation_ids.iter().map(|text| id("scope.conversation_ids", text));
            Reach::Part(ids.collect::<Result<_, _>>()?)
        }
    };
    let others = scope.other_contact_ids.iter().map(|text| id("scope.other_contact_ids", text));
    Ok(Scope {
        scope: id("scope.scope_id", &scope.scope_id)?,
        tenant: id("scope.tenant_id", &scope.tenant_id)?,
        erasure: id("scope.erasure_id", &scope.erasure_id)?,
        contact: id("scope.contact_id", &scope.contact_id)?,
        others: others.collect::<Result<_, _>>()?,
        reach,
    })
}

/// The erasure's own key.
fn census_key(bytes: &[u8]) -> Result<zeroize::Zeroizing<[u8; 32]>, Failure> {
    let key = bytes.try_into().map_err(|_| Failure::invalid("census_key", "must be 32 bytes"))?;
    Ok(zeroize::Zeroizing::new(key))
}

/// The engine's store and this database's, as the certificate names them.
const INDEX: &str = "index";
const POSTGRES: &str = "postgres";
const DOCUMENTS: &str = "documents";
const PROGRESS: &str = "progress";

fn tallies(documents: u64, progress_rows: u64) -> Vec<Tally> {
    let tally =
        |store: &str, kind: &str, count| Tally { store: store.to_owned(), kind: kind.to_owned(), count };
    vec![tally(INDEX, DOCUMENTS, documents), tally(POSTGRES, PROGRESS, progress_rows)]
}
