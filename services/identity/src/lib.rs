//! identity: who is asking, and what they did. Owns tenants, members, sessions, log-in records and the audit log.
//!
//! It hands out principals of 60 s, and tells every process within a second when one is worth nothing any more. It never
//! sees a contact's data: audit events of other services bring ids, and an erasure puts its own in their place. The
//! surprising thing: a member's name and address are sealed like a contact's, so log-in finds him by a blind index.

mod api;
mod config;
pub mod domain;
mod enrol;
mod erase;
mod erase_member;
mod error;
pub mod events;
pub mod jobs;
mod passwords;
mod revocation;
mod session_clock;
pub mod store;
mod throttle;
mod verify;
mod verify_member;

use std::sync::Arc;

use lethe_calendar::Calendar;
use lethe_keyring::{Keyring, SecretId};
use lethe_outbox::{Bus, consumer, kind, operation};
use lethe_proto::{
    erasure::participant_service_server::ParticipantServiceServer,
    identity::{
        api_key_service_server::ApiKeyServiceServer, identity_service_server::IdentityServiceServer,
        operator_access_service_server::OperatorAccessServiceServer,
        person_service_server::PersonServiceServer, team_service_server::TeamServiceServer,
    },
};
use lethe_service::{BASE_MIGRATION, BuildError, Database, Env, Job, Migration, Parts};
use tonic::service::Routes;
use uuid::Uuid;

pub use api::Identity;
pub use config::Config;
pub use error::Error;

use crate::{
    passwords::Passwords,
    revocation::{Hub, OwnDatabase},
    session_clock::SessionClock,
    throttle::Throttle,
};

/// The service's name: its roles', its peers' and its participant's.
pub const NAME: &str = "identity";

/// Every option with its meaning.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The services whose audit events are kept here.
const AUDITED: [&str; 3] =
    [kind::MESSAGING_AUDIT_RECORDED, kind::SEARCH_AUDIT_RECORDED, kind::RETENTION_AUDIT_RECORDED];

/// The schema of the service's own database.
pub fn migrations() -> Vec<Migration> {
    let own = [
        (100, "identity", include_str!("../migrations/0100_identity.sql")),
        (110, "api_keys", include_str!("../migrations/0110_api_keys.sql")),
        (120, "teams_and_photos", include_str!("../migrations/0120_teams_and_photos.sql")),
        (121, "audit_detail", include_str!("../migrations/0121_audit_detail.sql")),
        (122, "member_erasures", include_str!("../migrations/0122_member_erasures.sql")),
        (123, "operator_access", include_str!("../migrations/0123_operator_access.sql")),
        (124, "member_requests", include_str!("../migrations/0124_member_requests.sql")),
        (130, "expired_api_keys", include_str!("../migrations/0130_expired_api_keys.sql")),
        (150, "merged", include_str!("../migrations/0150_merged.sql")),
        (160, "one_time_passwords", include_str!("../migrations/0160_one_time_passwords.sql")),
    ];
    let own = own.map(|(version, name, sql)| Migration { version, name, sql });
    [BASE_MIGRATION].into_iter().chain(lethe_outbox::migrations()).chain(own).collect()
}

/// Puts the service together.
///
/// # Errors
/// When the configuration cannot be used, or the keystore is not there.
pub async fn build(config: Config, env: Env) -> Result<Parts, BuildError> {
    Ok(assemble(&Identity::open(config, &env).await?, &env))
}

/// The RPCs, jobs and probes of an identity that is open.
pub fn assemble(identity: &Identity, env: &Env) -> Parts {
    let (db, keyring) = (identity.0.db.clone(), identity.0.keyring.clone());
    let own = OwnDatabase { db: db.clone(), sessions: identity.0.sessions.clone() };
    env.access.revocations().ask_with(Arc::new(own));

    let audit = Arc::new(events::AuditEvents(identity.clone()));
    let config = identity.0.config.audit_consumer.clone();
    let bus = Bus::new(&db, env);
    let mut jobs = consumer(&bus, events::AUDIT_CONSUMER, &AUDITED, audit, config);
    jobs.push(Job::new("identity.poll_revocations", identity.0.hub.clone().run(env.tasks.clone())));
    jobs.push(jobs::sweep_expired::job(identity));
    jobs.push(jobs::destroy_retired_units::job(identity));
    jobs.push(jobs::finish_member_erasures::job(identity));
    jobs.push(jobs::sweep_api_keys::job(identity));
    let asked = identity.clone();
    jobs.push(keyring.settle_job(&env.tasks, move |tenant, subject| {
        let identity = asked.clone();
        async move { Ok(identity.addresses(tenant, subject).await?) }
    }));
    let owners = db.clone();
    jobs.push(keyring.sweep_job(&env.tasks, move |tenant, secrets| {
        let db = owners.clone();
        async move {
            let ids: Vec<Uuid> = secrets.iter().map(|secret| secret_uuid(*secret)).collect();
            let mut tx = db.tenant(tenant).await?;
            let owned = store::member::owned(&mut tx, &ids).await?;
            let owned = [owned, store::api_key::owned(&mut tx, &ids).await?].concat();
            Ok(secrets.into_iter().filter(|secret| owned.contains(&secret_uuid(*secret))).collect())
        }
    }));

    Parts {
        name: NAME,
        probes: [db.probe("postgres"), env.nats.probe()].into_iter().chain(keyring.probes()).collect(),
        grpc: Routes::new(IdentityServiceServer::new(identity.clone()))
            .add_service(TeamServiceServer::new(identity.clone()))
            .add_service(PersonServiceServer::new(identity.clone()))
            .add_service(ApiKeyServiceServer::new(identity.clone()))
            .add_service(OperatorAccessServiceServer::new(identity.clone()))
            .add_service(ParticipantServiceServer::new(identity.clone()))
            .add_service(operation(&bus)),
        jobs,
        http: None,
    }
}

impl Identity {
    /// What the RPCs and jobs of [`build`] stand on; for tests that call them one by one.
    ///
    /// # Errors
    /// As [`build`].
    pub async fn open(config: Config, env: &Env) -> Result<Self, BuildError> {
        let (clock, entropy) = (env.clock.clone(), env.entropy.clone());
        let db = Database::connect(NAME, &config.database).await?;
        let keyring =
            Keyring::open(NAME, config.keystore.clone(), config.kms.clone(), clock.clone(), entropy.clone())
                .await?;
        Ok(Self(Arc::new(api::Inner {
            passwords: Passwords::new(&config.passwords, entropy.clone())?,
            throttle: Throttle::new(config.log_in.clone()),
            hub: Hub::new(db.clone(), env.access.revocations().clone(), &config),
            sessions: SessionClock::new(clock.clone(), config.sessions.lifetimes()),
            access: env.access.clone(),
            calendar: Calendar::new(&config.calendar.time_zone, &config.calendar.holidays)?,
            tasks: env.tasks.clone(),
            config,
            db,
            keyring,
            clock,
            entropy,
        })))
    }

    /// How many password verifications ran so far: the same for every log-in, whoever it is for.
    pub fn passwords_verified(&self) -> u64 {
        self.0.passwords.verified()
    }
}

fn secret_uuid(secret: SecretId) -> Uuid {
    match secret {
        SecretId::Subject(id) => id.uuid(),
        SecretId::Unit(id) => id.uuid(),
    }
}
