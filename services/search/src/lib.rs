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

use std::{sync::Arc, time::Duration};

use lethe_ids::TenantId;
use lethe_outbox::{Bus, Outbox, consumer, kind, relay};
use lethe_service::{BASE_MIGRATION, BuildError, Database, Env, Job, Migration, Parts, Probe};
use uuid::Uuid;

pub use config::Config;
use engine::{
    Engine, Opened,
    tantivy::{SHARDS, TantivyEngine},
};
pub use error::Error;
use events::Events;
use indexer::Indexer;
use leases::Leases;
use store::tenants::Rebuild;

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
    migrations
}

/// Puts the service together over the embedded engine.
///
/// # Errors
/// When the database cannot be had, or another process has the index open.
pub async fn build(config: Config, env: Env) -> Result<Parts, BuildError> {
    let db = Database::connect(NAME, &config.database).await?;
    let engine = open(&config, &env, &db).await?;
    let close = jobs::close_index(engine.clone(), &env.tasks);
    let mut parts = build_on(config, env, db, Arc::new(engine.clone()), engine.id());
    parts.jobs.push(close);
    Ok(parts)
}

/// Opens the index, and notes what must be read again because of what was found.
async fn open(config: &Config, env: &Env, db: &Database) -> Result<TantivyEngine, BuildError> {
    let expected = store::identity::read(db).await?;
    let (folder, new_id) = (config.index_dir.clone(), env.entropy.uuid4());
    let (engine, opened) =
        tokio::task::spawn_blocking(move || TantivyEngine::open(&folder, expected, new_id)).await??;
    let rebuild = match opened {
        Opened::Whole => None,
        Opened::Unsure => Some(Rebuild::Reconcile),
        Opened::Empty => Some(Rebuild::Drop),
    };
    if let Some(rebuild) = rebuild {
        let asked = ask_all(db, rebuild).await?;
        if asked > 0 {
            tracing::warn!(?opened, tenants = asked, "the index is not what it was; it is read again from messaging");
        }
    }
    // Last: whatever fails before, the next start finds another index than this database knows.
    store::identity::write(db, engine.id()).await?;
    Ok(engine)
}

/// Asks for a rebuild of all tenants. Answers how many.
async fn ask_all(db: &Database, rebuild: Rebuild) -> Result<u64, sqlx::Error> {
    let (mut after, mut asked) = (Uuid::nil(), 0);
    loop {
        let tenants = store::tenants::all(db, after, 1_000).await?;
        let Some(last) = tenants.last() else { return Ok(asked) };
        after = TenantId::uuid(*last);
        for tenant in tenants {
            let mut tx = db.tenant(tenant).await?;
            store::tenants::ask(&mut tx, rebuild).await?;
            tx.commit().await?;
            asked += 1;
        }
    }
}

/// Puts the service together over any engine. `index` is the id of what the engine holds.
#[doc(hidden)]
pub fn build_on(config: Config, env: Env, db: Database, engine: Arc<dyn Engine>, index: Uuid) -> Parts {
    let leases = Leases::new(db.clone(), index, engine.shards(), config.lease());
    let (clock, entropy) = (env.clock.clone(), env.entropy.clone());
    let indexer = Arc::new(Indexer::new(
        db.clone(),
        engine.clone(),
        leases.clone(),
        env.peers.clone(),
        clock.clone(),
        entropy.clone(),
        config.clone(),
    ));
    let outbox = Outbox::new(kind::SEARCH_AUDIT_RECORDED, clock, entropy);
    let bus = Bus::new(&db, &env);
    let seconds = Duration::from_secs;

    let mut jobs = relay(&bus, NAME, config.relay.clone(), &outbox);
    jobs.push(jobs::hold_shards(leases.clone(), &env.tasks, config.lease()));
    jobs.push(jobs::sync_index(engine, &env.tasks, seconds(config.sync_interval_s)));
    jobs.push(jobs::expunge_deletes(indexer.clone(), &env.tasks, seconds(config.expunge_interval_s)));
    jobs.push(jobs::rebuild_indexes(indexer.clone(), &env.tasks));
    jobs.push(jobs::close_gaps(indexer.clone(), &env.tasks));
    let events = Arc::new(Events::new(indexer.clone()));
    for job in consumer(&bus, events::CONSUMER, &events::KINDS, events, config.consumer.clone()) {
        jobs.push(once_held(job, leases.clone(), &env.tasks));
    }

    let probes = vec![db.probe("postgres"), env.nats.probe(), held(leases)];
    let grpc = api::routes(api::Api { indexer, peers: env.peers, outbox });
    Parts { name: NAME, grpc, jobs, probes, http: None }
}

/// Events are taken from the bus only by the process that can write them.
fn once_held(job: Job, leases: Leases, tasks: &lethe_ambient::Tasks) -> Job {
    let (name, run, tasks) = (job.name, job.run, tasks.clone());
    Job::new(name, async move {
        tokio::select! {
            () = leases.complete() => run.await,
            () = tasks.stopped() => {}
        }
    })
}

/// Ready when all shards are ours.
fn held(leases: Leases) -> Probe {
    Probe::new("shards", move || {
        let held = leases.are_complete();
        async move { if held { Ok(()) } else { Err(format!("not all of {SHARDS} shards are held")) } }
    })
}
