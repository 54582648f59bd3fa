//! search: where was it said.
//!
//! Owns the index and where it stands, and no text: the engine has terms, messaging has the texts. It lives on
//! messaging's events, reads again whatever they name, and answers ids that messaging then shows or withholds. It is a
//! participant of erasures, and removes what is deleted from the index's files by the byte.

#[doc(hidden)]
pub mod analysis;
mod api;
mod census;
mod config;
mod domain;
pub mod engine;
mod erase;
mod error;
mod events;
mod indexer;
mod jobs;
mod leases;
mod store;
mod verify;

use std::{future::Future, sync::Arc, time::Duration};

use lethe_outbox::{Bus, Outbox, consumer, kind, operation, relay};
use lethe_proto::search::index_operation_service_server::IndexOperationServiceServer;
use lethe_service::{BASE_MIGRATION, BuildError, Database, Env, Migration, Parts, Probe};
use tokio::sync::Semaphore;
use uuid::Uuid;

pub use api::IndexOperation;
pub use config::Config;
use engine::{
    Engine, EngineError, Opened,
    tantivy::{SHARDS, TantivyEngine},
};
pub use error::Error;
use events::Events;
use indexer::Indexer;
use leases::Leases;

/// The service's name: its database, its roles, its subjects.
pub const NAME: &str = "search";
/// The options of the section `search`, with their meaning.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The schema of its database.
pub fn migrations() -> Vec<Migration> {
    let mut migrations = vec![BASE_MIGRATION];
    migrations.extend(lethe_outbox::migrations());
    migrations.push(Migration {
        version: 100,
        name: "search",
        sql: include_str!("../migrations/0100_search.sql"),
    });
    migrations.push(Migration {
        version: 110,
        name: "modes",
        sql: include_str!("../migrations/0110_modes.sql"),
    });
    migrations.push(Migration {
        version: 120,
        name: "merged",
        sql: include_str!("../migrations/0120_merged.sql"),
    });
    migrations
}

/// Puts the service together over the embedded engine.
///
/// # Errors
/// When the database cannot be had, or another process has the index open.
pub async fn build(config: Config, env: Env) -> Result<Parts, BuildError> {
    let db = Database::connect(NAME, &config.database).await?;
    let expected = store::identity::read(&db).await?;
    let (folder, new_id) = (config.index_dir.clone(), env.entropy.uuid4());
    let (engine, opened) =
        tokio::task::spawn_blocking(move || TantivyEngine::open(&folder, expected, new_id)).await??;
    let id = engine.id();
    let closing = engine.clone();
    let close = async move || closing.close().await;
    Ok(build_on(config, env, db, Arc::new(engine), id, opened, close))
}

/// Puts the service together over any engine. `index` is the id of what the engine holds, `close` its end.
#[doc(hidden)]
pub fn build_on<F>(
    config: Config,
    env: Env,
    db: Database,
    engine: Arc<dyn Engine>,
    index: Uuid,
    opened: Opened,
    close: impl FnOnce() -> F + Send + 'static,
) -> Parts
where
    F: Future<Output = Result<(), EngineError>> + Send,
{
    let leases = Leases::new(db.clone(), index, engine.shards(), config.lease());
    let indexer = Arc::new(Indexer::new(db.clone(), engine.clone(), leases.clone(), &env, config.clone()));
    let outbox = Outbox::new(kind::SEARCH_AUDIT_RECORDED, env.clock.clone(), env.entropy.clone());
    let bus = Bus::new(&db, &env);
    let seconds = Duration::from_secs;

    let mut jobs = relay(&bus, NAME, config.relay.clone(), &outbox);
    jobs.push(jobs::hold_shards(leases.clone(), &env.tasks, config.lease()));
    jobs.push(jobs::sync_index(engine, &env.tasks, seconds(config.sync_interval_s)));
    jobs.push(jobs::expunge_deletes(indexer.clone(), &env.tasks, seconds(config.expunge_interval_s)));
    jobs.push(jobs::rebuild_indexes(indexer.clone(), &env.tasks));
    jobs.push(jobs::close_gaps(indexer.clone(), &env.tasks));
    jobs.push(jobs::close_index(close, leases.clone(), &env.tasks));
    let events = Arc::new(Events::new(indexer.clone()));
    let heard = bus.clone();
    let consumers =
        move || consumer(&heard, events::CONSUMER, &events::KINDS, events.clone(), config.consumer.clone());
    jobs.push(jobs::consume_events(consumers, indexer.clone(), index, opened, &env.tasks));

    let probes = vec![db.probe("postgres"), env.nats.probe(), held(leases)];
    let looks = Semaphore::new((indexer.config.database.max_connections / 4).max(1) as usize);
    let index = IndexOperation { db, outbox, due: indexer.rebuild.clone() };
    let grpc = api::routes(api::Api { indexer, peers: env.peers, looks })
        .add_service(IndexOperationServiceServer::new(index))
        .add_service(operation(&bus));
    Parts { name: NAME, grpc, jobs, probes, http: None }
}

/// Ready when all shards are ours.
fn held(leases: Leases) -> Probe {
    Probe::new("shards", move || {
        let held = leases.are_complete();
        async move { if held { Ok(()) } else { Err(format!("not all of {SHARDS} shards are held")) } }
    })
}
