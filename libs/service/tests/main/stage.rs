//! A service for these tests: the query of a search says what its handler does.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use lethe_proto::search::{
    RebuildIndexRequest, RebuildIndexResponse, SearchMessagesRequest, SearchMessagesResponse,
    index_operation_service_client::IndexOperationServiceClient,
    index_operation_service_server::{IndexOperationService, IndexOperationServiceServer},
    search_service_client::SearchServiceClient,
    search_service_server::{SearchService, SearchServiceServer},
};
use lethe_service::{
    CallContext, Failure, Parts, Peers, Replicas, Server, ServerConfig, peers::Transport, tls::Mutual,
};
use lethe_testkit::World;
use tokio::sync::Notify;
use tonic::{Request, Response, Status, service::Routes};

pub(crate) type Client = SearchServiceClient<lethe_service::PeerChannel>;

/// What the handler saw, and the gate that "wait" stands before.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) contexts: Arc<Mutex<Vec<CallContext>>>,
    pub(crate) arrived: Arc<Notify>,
    pub(crate) gate: Arc<Notify>,
}

struct Search {
    seen: Seen,
    /// To call itself once more, in the name of the gateway.
    peers: Peers,
}

#[tonic::async_trait]
impl SearchService for Search {
    async fn search_messages(
        &self,
        request: Request<SearchMessagesRequest>,
    ) -> Result<Response<SearchMessagesResponse>, Status> {
        let context = CallContext::of(&request).clone();
        self.seen.contexts.lock().unwrap().push(context.clone());
        match request.get_ref().query.as_str() {
            "hop" => {
                let mut next = SearchServiceClient::new(self.peers.client("search", &context));
                next.search_messages(question("look")).await?;
            }
            "wait" => {
                self.seen.arrived.notify_one();
                self.seen.gate.notified().await;
            }
            "forever" => std::future::pending().await,
            "panic" => panic!("the handler gave up"),
            "fail" => return Err(Failure::internal("a secret of the operator's").into()),
            _ => {}
        }
        Ok(Response::new(SearchMessagesResponse::default()))
    }
}

/// What the gateway may not ask.
struct Index;

#[tonic::async_trait]
impl IndexOperationService for Index {
    async fn rebuild_index(
        &self,
        _: Request<RebuildIndexRequest>,
    ) -> Result<Response<RebuildIndexResponse>, Status> {
        Ok(Response::new(RebuildIndexResponse::default()))
    }
}

/// The service `search` in a world of its own, over a pipe.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) seen: Seen,
    pub(crate) server: Server,
}

/// A request whose handler does what `query` says.
pub(crate) fn question(query: &str) -> SearchMessagesRequest {
    SearchMessagesRequest { query: query.to_owned(), ..Default::default() }
}

impl Stage {
    pub(crate) async fn set() -> Self {
        Self::with(Vec::new()).await
    }

    pub(crate) async fn with(probes: Vec<lethe_service::Probe>) -> Self {
        Self::with_config(probes, &World::server_config()).await
    }

    pub(crate) async fn with_config(probes: Vec<lethe_service::Probe>, config: &ServerConfig) -> Self {
        let world = World::new(&["gateway", "search"]).await;
        let seen = Seen::default();
        let search = Search { seen: seen.clone(), peers: world.peers("gateway") };
        let parts = Parts {
            name: "search",
            grpc: Routes::new(SearchServiceServer::new(search))
                .add_service(IndexOperationServiceServer::new(Index)),
            jobs: Vec::new(),
            probes,
            http: None,
        };
        let env = world.env("search").await;
        let server = world.serve_with(parts, &env, config);
        Self { world, seen, server }
    }

    /// What an agent's call begins with.
    pub(crate) fn context(&self) -> CallContext {
        let agent = self.world.principal(self.world.tenant(), &[lethe_access::Role::Agent]);
        self.world.context(Some(agent))
    }

    /// A client in the process.
    pub(crate) fn client(&self, context: &CallContext) -> Client {
        SearchServiceClient::new(self.world.peers("gateway").client("search", context))
    }

    /// The operator's side of the service, as the gateway.
    pub(crate) fn index(
        &self,
        context: &CallContext,
    ) -> IndexOperationServiceClient<lethe_service::PeerChannel> {
        IndexOperationServiceClient::new(self.world.peers("gateway").client("search", context))
    }

    /// Peers that reach the service over TCP.
    pub(crate) async fn network(&self) -> Peers {
        let address = self.listen(None).await;
        self.peers_at(&format!("http://{address}"), None)
    }

    /// Serves on TCP.
    pub(crate) async fn listen(&self, tls: Option<&Mutual>) -> SocketAddr {
        self.server.listen("127.0.0.1:0".parse().unwrap(), tls).await.unwrap()
    }

    /// The gateway's peers, with the service at `urls`.
    pub(crate) fn peers_at(&self, urls: &str, tls: Option<&Mutual>) -> Peers {
        let replicas = Replicas::connect("search", urls, tls, &self.world.tasks).unwrap();
        Peers::new(self.world.access.of("gateway"), [("search".to_owned(), Transport::Network(replicas))])
    }
}
