//! retention: how long, and that it is gone. Owns erasures, their certificates and the rights ledger.
//!
//! An erasure is a durable saga over participants that are asked by gRPC ([`saga`]); this service holds no content and no
//! other service's keys. It attests what the participants re-read, and never says more. The surprising thing: it is a
//! participant of its own erasures, because the random id of a contact is something about a person too.

mod api;
pub mod certificate;
mod config;
pub mod domain;
mod erase;
mod error;
mod holding;
pub mod jobs;
pub mod ledger;
pub mod saga;
pub mod store;
mod verify;

use std::{sync::Arc, time::Duration};

use lethe_calendar::Calendar;
use lethe_keyring::{Keyring, SecretId};
use lethe_outbox::{Bus, Outbox, kind, operation, relay};
use lethe_proto::{
    erasure::participant_service_server::ParticipantServiceServer,
    retention::{
        erasure_operation_service_server::ErasureOperationServiceServer,
        retention_service_server::RetentionServiceServer,
    },
};
use lethe_service::{BASE_MIGRATION, BuildError, Database, Env, Migration, Parts};
use tokio::sync::Notify;
use tonic::service::Routes;

pub use api::{Api, ErasureOperation, Participant};
pub use config::{AdvanceConfig, CertificateConfig, Config};
pub use error::Error;

use crate::{
    certificate::Signer,
    ledger::{Ledger, Objects},
    saga::Saga,
};

/// The service's name: its roles', its peers' and its participant's.
pub const NAME: &str = "retention";

/// Every option with its meaning.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The longest that a participant may take to count, while a person waits.
const COUNT_TIMEOUT: Duration = Duration::from_secs(10);

/// The schema of the service's own database.
pub fn migrations() -> Vec<Migration> {
    let own = [
        Migration { version: 100, name: "erasures", sql: include_str!("../migrations/0100_erasures.sql") },
        Migration { version: 110, name: "modes", sql: include_str!("../migrations/0110_modes.sql") },
        Migration { version: 111, name: "holds", sql: include_str!("../migrations/0111_holds.sql") },
        Migration {
            version: 112,
            name: "two_of_one",
            sql: include_str!("../migrations/0112_two_of_one.sql"),
        },
    ];
    [BASE_MIGRATION].into_iter().chain(lethe_outbox::migrations()).chain(own).collect()
}

/// Puts the service together.
///
/// # Errors
/// When the configuration does not hold together, or the keystore or the ledger's store is not there.
pub async fn build(config: Config, env: Env) -> Result<Parts, BuildError> {
    config.check().map_err(BuildError::msg)?;
    let saga = saga(&config, &env).await?;
    let due = Arc::new(Notify::new());
    let api = Api {
        saga: saga.clone(),
        calendar: Calendar::new(&config.calendar.time_zone, &config.calendar.holidays)?,
        participants: config.participants,
        count_timeout: COUNT_TIMEOUT,
        due: due.clone(),
    };
    let participant =
        Participant { db: saga.db.clone(), clock: env.clock.clone(), entropy: env.entropy.clone() };

    let mut jobs = jobs::advance_erasures(&saga, &env.tasks, &due);
    let bus = Bus::new(&saga.db, &env);
    let erasures = ErasureOperation { db: saga.db.clone(), clock: env.clock.clone(), due: due.clone() };
    jobs.extend(relay(&bus, NAME, config.relay, &saga.outbox));
    let owners = saga.db.clone();
    jobs.push(jobs::settle_holds(&saga, &env.tasks, &due));
    jobs.push(saga.keyring.sweep_job(&env.tasks, move |tenant, secrets| {
        let db = owners.clone();
        async move {
            let mut tx = db.tenant(tenant).await?;
            let ids: Vec<_> = secrets.iter().map(|secret| secret_uuid(*secret)).collect();
            let owned = store::owned_secrets(&mut tx, &ids).await?;
            Ok(secrets.into_iter().filter(|secret| owned.contains(&secret_uuid(*secret))).collect())
        }
    }));

    Ok(Parts {
        name: NAME,
        probes: [saga.db.probe("postgres"), env.nats.probe()]
            .into_iter()
            .chain(saga.keyring.probes())
            .collect(),
        grpc: Routes::new(RetentionServiceServer::new(api))
            .add_service(ParticipantServiceServer::new(participant))
            .add_service(operation(&bus))
            .add_service(ErasureOperationServiceServer::new(erasures)),
        jobs,
        http: None,
    })
}

/// What erasures are moved with: by the jobs of [`build`], and step by step in tests.
///
/// # Errors
/// As [`build`].
pub async fn saga(config: &Config, env: &Env) -> Result<Saga, BuildError> {
    let (clock, entropy) = (env.clock.clone(), env.entropy.clone());
    let signer =
        Signer::new(config.certificate.signing_key.expose(), config.certificate.retired_keys.clone())?;
    Ok(Saga {
        db: Database::connect(NAME, &config.database).await?,
        peers: env.peers.clone(),
        keyring: Keyring::open(
            NAME,
            config.keystore.clone(),
            config.kms.clone(),
            clock.clone(),
            entropy.clone(),
        )
        .await?,
        ledger: Ledger::new(Objects::open(&config.ledger)?),
        signer: Arc::new(signer),
        outbox: Outbox::new(kind::RETENTION_AUDIT_RECORDED, clock.clone(), entropy.clone()),
        clock,
        entropy,
        config: config.advance_erasures.clone(),
        re_verify_after: Duration::from_secs(u64::from(config.re_verify_after_s)),
    })
}

fn secret_uuid(secret: SecretId) -> uuid::Uuid {
    match secret {
        SecretId::Subject(id) => id.uuid(),
        SecretId::Unit(id) => id.uuid(),
    }
}
