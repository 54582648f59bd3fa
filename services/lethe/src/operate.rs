//! The services' operation RPCs over the configured stores, in this process alone: the operator's commands work beside a
//! running platform, and when none runs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::ensure;
use lethe_access::{Access, Revocations};
use lethe_ambient::{Clock, Entropy, Tasks};
use lethe_outbox::{Bus, Outbox, kind, operation};
use lethe_proto::{
    operation::operation_service_client::OperationServiceClient,
    retention::{
        erasure_operation_service_client::ErasureOperationServiceClient,
        erasure_operation_service_server::ErasureOperationServiceServer,
    },
    search::{
        index_operation_service_client::IndexOperationServiceClient,
        index_operation_service_server::IndexOperationServiceServer,
    },
};
use lethe_service::{
    CallContext, Database, DatabaseConfig, Env, Failure, Nats, Parts, PeerChannel, Peers, Pipe, Server,
    peers::Transport,
};
use time::OffsetDateTime;
use tokio::sync::Notify;
use tonic::{Status, service::Routes};

use crate::{Config, platform::OPERATOR};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(10);
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// Services that answer the operator and do nothing by themselves.
pub(crate) struct Operation {
    peers: Peers,
    servers: Vec<Server>,
    databases: BTreeMap<&'static str, Database>,
    clock: Clock,
    entropy: Entropy,
    tasks: Tasks,
}

impl Operation {
    /// Opens it; a store that is away is noticed when it is asked.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        config.check()?;
        let (clock, entropy, tasks) = (Clock::system(), Entropy::system(), Tasks::new());
        let keys = config.public_keys()?;
        let access = |name: &'static str| -> anyhow::Result<Access> {
            // Nobody's session asks here: there is none to be revoked.
            let revocations = Revocations::always_fresh();
            Ok(Access::new(name, config.key(name)?, keys.clone(), revocations, clock.clone()))
        };
        let (mut transports, mut servers, mut databases) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (name, database) in own_databases(config) {
            let access = access(name)?;
            let env = Env {
                clock: clock.clone(),
                entropy: entropy.clone(),
                tasks: tasks.clone(),
                peers: Peers::new(access.clone(), []),
                nats: Nats::connect(name, &config.nats).await?,
                access,
            };
            let db = Database::connect(name, database).await?;
            let mut grpc = Routes::new(operation(&Bus::new(&db, &env)));
            if name == lethe_retention::NAME {
                let (db, clock, due) = (db.clone(), clock.clone(), Arc::new(Notify::new()));
                let erasures = lethe_retention::ErasureOperation { db, clock, due };
                grpc = grpc.add_service(ErasureOperationServiceServer::new(erasures));
            }
            if name == lethe_search::NAME {
                let outbox = Outbox::new(kind::SEARCH_AUDIT_RECORDED, clock.clone(), entropy.clone());
                let index = lethe_search::IndexOperation { db: db.clone(), outbox, due: Arc::default() };
                grpc = grpc.add_service(IndexOperationServiceServer::new(index));
            }
            let parts = Parts { name, grpc, jobs: Vec::new(), probes: Vec::new(), http: None };
            let (pipe, incoming) = Pipe::new();
            servers.push(Server::start(parts, &env, &config.server, Some(incoming))?);
            transports.push((name.to_owned(), Transport::Pipe(pipe)));
            databases.insert(name, db);
        }
        Ok(Self {
            peers: Peers::new(access(OPERATOR)?, transports),
            servers,
            databases,
            clock,
            entropy,
            tasks,
        })
    }

    /// What `service` says of its events.
    pub(crate) fn events(&self, service: &str) -> OperationServiceClient<PeerChannel> {
        OperationServiceClient::new(self.channel(service))
    }

    /// What retention says of erasures.
    pub(crate) fn erasures(&self) -> ErasureOperationServiceClient<PeerChannel> {
        ErasureOperationServiceClient::new(self.channel(lethe_retention::NAME))
    }

    /// What search says of its index, within this time.
    pub(crate) fn index(&self, within: Duration) -> IndexOperationServiceClient<PeerChannel> {
        IndexOperationServiceClient::new(self.channel_for(lethe_search::NAME, within))
    }

    /// The services' own databases, by service.
    pub(crate) fn databases(&self) -> &BTreeMap<&'static str, Database> {
        &self.databases
    }

    /// The time.
    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Ends it.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        let mut all_ended = true;
        for server in &self.servers {
            all_ended &= server.drain().await;
        }
        ensure!(all_ended & self.tasks.shut_down(ENDS_WITHIN).await, "a question was cut");
        Ok(())
    }

    fn channel(&self, service: &str) -> PeerChannel {
        self.channel_for(service, TIMEOUT)
    }

    fn channel_for(&self, service: &str, within: Duration) -> PeerChannel {
        self.peers.client(service, &CallContext::for_job(OPERATOR, &self.entropy, within))
    }
}

/// The services that have an outbox, with their databases.
pub(crate) fn own_databases(config: &Config) -> [(&'static str, &DatabaseConfig); 4] {
    [
        (lethe_identity::NAME, &config.identity.database),
        (lethe_messaging::NAME, &config.messaging.database),
        (lethe_search::NAME, &config.search.database),
        (lethe_retention::NAME, &config.retention.database),
    ]
}

/// A refusal as a line for a person.
pub(crate) fn refused(status: &Status) -> anyhow::Error {
    anyhow::anyhow!("{}", Failure::from_status(status))
}
