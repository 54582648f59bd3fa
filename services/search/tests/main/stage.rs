//! The search service, served, between a messaging of the test's and a caller.

use std::{future::Future, path::Path, sync::Arc, time::Duration};

use lethe_access::Role;
use lethe_ambient::Entropy;
use lethe_ids::{ContactId, ErasureId, MessageId, ScopeId, TenantId};
use lethe_outbox::{Bus, Outbox, RelayConfig, kind, relay};
use lethe_proto::{
    erasure::{
        CountRequest, CountResponse, FenceRequest, FenceResponse, Finding, PurgeRequest, PurgeResponse,
        Scope, VerifyAbsentRequest, participant_service_client::ParticipantServiceClient,
    },
    messaging::message_service_server::MessageServiceServer,
    search::{
        RebuildIndexRequest, SearchMessagesRequest, SearchMessagesResponse, WaitFor,
        index_operation_service_client::IndexOperationServiceClient,
        search_service_client::SearchServiceClient,
    },
};
use lethe_search::{
    Config,
    engine::{Engine, Opened, tantivy::TantivyEngine},
};
use lethe_service::{BASE_MIGRATION, Database, DatabaseConfig, Failure, Parts, PeerChannel, Server};
use lethe_testkit::{Databases, World};
use tonic::Status;

use crate::{
    messaging::{Messaging, Place},
    support::fresh,
};

#[derive(serde::Deserialize)]
struct Sections {
    search: Config,
}

/// The defaults, with the waits of tests.
pub(crate) fn config(database: &DatabaseConfig, folder: &Path) -> Config {
    let sections = lethe_service::load::<Sections>(&[lethe_search::DEFAULTS], None, std::iter::empty());
    let mut config = sections.unwrap().search;
    config.database = database.clone();
    config.index_dir = folder.to_owned();
    config.commit_interval_ms = 10;
    config.gap_ms = 200;
    config.lease_ms = 1_500;
    config.wait_for_ms = 5_000;
    config
}

pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) messaging: Messaging,
    pub(crate) db: Database,
    pub(crate) config: Config,
    _servers: Vec<Server>,
}

/// What outlives a process: the databases, and messaging's memory.
pub(crate) struct Kept {
    pub(crate) search: DatabaseConfig,
    messaging_db: DatabaseConfig,
    messaging: Option<Messaging>,
}

impl Kept {
    pub(crate) async fn new() -> Self {
        let mut migrations = vec![BASE_MIGRATION];
        migrations.extend(lethe_outbox::migrations());
        Self {
            search: Databases::fresh("search", &lethe_search::migrations()).await,
            messaging_db: Databases::fresh("messaging", &migrations).await,
            messaging: None,
        }
    }

    /// The events of before are in no outbox any more, and so will not be on the next bus.
    pub(crate) async fn forget_events(&mut self) {
        self.messaging_db = Self::new().await.messaging_db;
    }
}

impl Stage {
    /// A fresh one over the embedded engine in `folder`.
    pub(crate) async fn new(folder: &Path) -> Self {
        Self::again(&mut Kept::new().await, folder, |_| {}).await
    }

    /// With what was kept from another process, and a bus that knows nothing of before.
    pub(crate) async fn again(kept: &mut Kept, folder: &Path, configure: impl FnOnce(&mut Config)) -> Self {
        let (stage, env) = Self::prepare(kept, folder, configure).await;
        let parts = lethe_search::build(stage.config.clone(), env.clone()).await.unwrap();
        stage.serve(parts, &env)
    }

    /// Over an engine that the test has its fingers in.
    pub(crate) async fn on<E: Engine>(
        folder: &Path,
        configure: impl FnOnce(&mut Config),
        wrap: impl FnOnce(TantivyEngine, Database) -> E,
    ) -> (Self, Arc<E>) {
        let (stage, env) = Self::prepare(&mut Kept::new().await, folder, configure).await;
        let engine = crate::support::open(folder);
        let id = engine.id();
        let engine = Arc::new(wrap(engine, stage.db.clone()));
        let (config, db) = (stage.config.clone(), stage.db.clone());
        let close = async || Ok(());
        let parts = lethe_search::build_on(config, env.clone(), db, engine.clone(), id, Opened::Empty, close);
        (stage.serve(parts, &env), engine)
    }

    async fn prepare(
        kept: &mut Kept,
        folder: &Path,
        configure: impl FnOnce(&mut Config),
    ) -> (Self, lethe_service::Env) {
        let mut world = World::new(&["search", "messaging", "gateway", "retention", "operator"]).await;
        // Another process draws other ids.
        world.entropy = Entropy::seeded(fresh().as_u64_pair().1);
        let env = world.env("messaging").await;
        let db = Database::connect("messaging", &kept.messaging_db).await.unwrap();
        let outbox = Outbox::new(kind::MESSAGING_AUDIT_RECORDED, world.clock.clone(), world.entropy.clone());
        let messaging = Messaging::new(kept.messaging.as_ref(), outbox, db.clone());
        kept.messaging = Some(messaging.clone());
        let parts = Parts {
            name: "messaging",
            grpc: tonic::service::Routes::new(MessageServiceServer::new(messaging.clone())),
            jobs: relay(&Bus::new(&db, &env), "messaging", RelayConfig::default(), messaging.outbox()),
            probes: Vec::new(),
            http: None,
        };
        let servers = vec![world.serve(parts, &env)];
        let mut config = config(&kept.search, folder);
        configure(&mut config);
        let db = Database::connect("search", &kept.search).await.unwrap();
        let env = world.env("search").await;
        (Self { world, messaging, db, config, _servers: servers }, env)
    }

    fn serve(mut self, parts: Parts, env: &lethe_service::Env) -> Self {
        let server = self.world.serve(parts, env);
        self._servers.push(server);
        self
    }

    /// Ends the process.
    pub(crate) async fn stop(self) {
        self.world.stop().await;
    }

    pub(crate) fn place(&self) -> Place {
        Place::new(self.world.tenant())
    }

    /// As an agent of the tenant.
    pub(crate) async fn ask(
        &self,
        tenant: TenantId,
        request: SearchMessagesRequest,
    ) -> Result<SearchMessagesResponse, Status> {
        let principal = self.world.principal(tenant, &[Role::Agent]);
        let mut client = SearchServiceClient::new(self.world.client("gateway", "search", Some(principal)));
        Ok(client.search_messages(request).await?.into_inner())
    }

    /// Searches once the change is visible, which it must become.
    pub(crate) async fn search(&self, place: Place, query: &str, seq: u64) -> Vec<String> {
        let wait_for = WaitFor { contact_id: place.contact.to_string(), seq };
        let request =
            SearchMessagesRequest { query: query.to_owned(), wait_for: Some(wait_for), ..<_>::default() };
        let response = self.ask(place.tenant, request).await.unwrap();
        assert!(response.caught_up, "{query} is waited for");
        ids(&response)
    }

    /// Searches now.
    pub(crate) async fn look(&self, tenant: TenantId, query: &str) -> Vec<String> {
        let request = SearchMessagesRequest { query: query.to_owned(), ..<_>::default() };
        match self.ask(tenant, request).await {
            Ok(answer) => ids(&answer),
            // Of what another process has, this one has nothing to say.
            Err(status) if Failure::from_status(&status).reason == "SHARD_ELSEWHERE" => Vec::new(),
            Err(status) => panic!("{status:?}"),
        }
    }

    pub(crate) async fn rebuild(&self, tenant: TenantId) -> u64 {
        let mut client = IndexOperationServiceClient::new(self.world.client("operator", "search", None));
        let request = RebuildIndexRequest { tenant_id: tenant.to_string() };
        client.rebuild_index(request).await.unwrap().into_inner().indexed
    }

    pub(crate) fn participant(&self) -> ParticipantServiceClient<PeerChannel> {
        ParticipantServiceClient::new(self.world.client("retention", "search", None))
    }
}

/// An erasure, as retention asks for it.
#[derive(Clone)]
pub(crate) struct Erasure {
    scope: Scope,
    key: Vec<u8>,
}

impl Erasure {
    pub(crate) fn of(tenant: TenantId, contact: ContactId) -> Self {
        let scope = Scope {
            scope_id: ScopeId::new(fresh()).to_string(),
            tenant_id: tenant.to_string(),
            erasure_id: ErasureId::new(fresh()).to_string(),
            contact_id: contact.to_string(),
            ..Scope::default()
        };
        Self { scope, key: vec![7; 32] }
    }

    /// The same of a person who was another contact, too.
    pub(crate) fn and(mut self, other: ContactId) -> Self {
        self.scope.other_contact_ids.push(other.to_string());
        self
    }

    pub(crate) fn with_key(&self, key: &[u8]) -> Self {
        Self { key: key.to_vec(), ..self.clone() }
    }

    pub(crate) async fn count(&self, stage: &Stage) -> CountResponse {
        self.try_count(stage).await.unwrap()
    }

    pub(crate) async fn try_count(&self, stage: &Stage) -> Result<CountResponse, Status> {
        let request = CountRequest { scope: Some(self.scope.clone()) };
        Ok(stage.participant().count(request).await?.into_inner())
    }

    pub(crate) fn fence(&self, stage: &Stage) -> impl Future<Output = Result<FenceResponse, Status>> + use<> {
        let (mut client, scope) = (stage.participant(), Some(self.scope.clone()));
        let request = FenceRequest { scope, census_key: self.key.clone().into() };
        async move { Ok(client.fence(request).await?.into_inner()) }
    }

    pub(crate) async fn purge(&self, stage: &Stage) -> Result<PurgeResponse, Status> {
        let request = PurgeRequest { scope: Some(self.scope.clone()), census_key: self.key.clone().into() };
        Ok(stage.participant().purge(request).await?.into_inner())
    }

    pub(crate) async fn verify(&self, stage: &Stage) -> Result<Vec<Finding>, Status> {
        let scope = Some(self.scope.clone());
        let request = VerifyAbsentRequest { scope, census_key: self.key.clone().into() };
        Ok(stage.participant().verify_absent(request).await?.into_inner().findings)
    }
}

/// (store, kind, looked for, found) of what was read again.
pub(crate) fn lines(findings: &[Finding]) -> Vec<(&str, &str, u64, u64)> {
    let read = findings.iter().filter(|f| f.attestation() == lethe_proto::erasure::Attestation::ReRead);
    read.map(|f| (f.store.as_str(), f.kind.as_str(), f.looked_for, f.found)).collect()
}

pub(crate) fn ids(response: &SearchMessagesResponse) -> Vec<String> {
    response.hits.iter().map(|hit| hit.message.as_ref().unwrap().message_id.clone()).collect()
}

pub(crate) fn texts(messages: &[MessageId]) -> Vec<String> {
    messages.iter().map(MessageId::to_string).collect()
}

/// Waits on a condition, with a limit.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    for _ in 0..1_000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come");
}
