//! messaging: what was said, and whether we may say more. Owns contacts, consents, the opt-out list, conversations and
//! messages; everything that people wrote or are called is sealed before it reaches a store.
//!
//! This file is the assembly: from the configuration to RPCs, jobs and probes. It speaks to no other service but
//! identity, of the member whom a conversation is given to: the others ask it, or hear of its changes by the outbox. Its own
//! and retention's events it tells tenants by webhooks.

mod accept;
mod api;
mod banning;
mod census;
mod config;
mod contacts;
mod detector;
mod domain;
mod erase;
mod error;
mod events;
mod imports;
mod jobs;
mod opting;
#[doc(hidden)]
pub mod parsers;
mod reseal;
mod routes;
mod scope;
mod seal;
mod state;
mod store;
mod submit;
mod suppression;
mod verify;
mod webhooks;

use std::sync::Arc;

use lethe_keyring::{Keyring, normalise};
use lethe_outbox::{Bus, Outbox, consumer, kind, operation, relay};
use lethe_proto::{
    erasure::{hold_service_server::HoldServiceServer, participant_service_server::ParticipantServiceServer},
    messaging::{
        contact_service_server::ContactServiceServer, conversation_service_server::ConversationServiceServer,
        import_service_server::ImportServiceServer, label_service_server::LabelServiceServer,
        message_service_server::MessageServiceServer, webhook_service_server::WebhookServiceServer,
    },
};
use lethe_service::{BASE_MIGRATION, BuildError, Database, Env, Migration, Parts};
use tokio::sync::{Notify, OnceCell};
use tonic::service::Routes as Grpc;

use crate::{
    accept::Acceptor,
    api::Api,
    detector::Detector,
    routes::Routes,
    state::State,
    webhooks::post::{self, Post},
};

pub use config::{
    AcceptConfig, Config, ConversationsConfig, ErasureConfig, IdempotencyConfig, ImportsConfig,
    WebhooksConfig,
};
pub use domain::reach::{Network, NotANetwork};
pub use store::{
    eraser::{ERASERS, Eraser},
    merge::{MOVERS, Mover},
    message::{CONTACTS_MESSAGES, NAMED_MESSAGES},
    reseal::{RESEALED, Resealed},
};

/// The service's name: of its database, its roles, its tokens.
pub const NAME: &str = "messaging";
/// Every option, with its meaning.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The schema of the service's own database. Its keystore's is `lethe_keyring::migrations`.
pub fn migrations() -> Vec<Migration> {
    let own = |version, name, sql| Migration { version, name, sql };
    let mut all = vec![BASE_MIGRATION];
    all.extend(lethe_outbox::migrations());
    all.extend([
        own(100, "contacts", include_str!("../migrations/0100_contacts.sql")),
        own(101, "conversations", include_str!("../migrations/0101_conversations.sql")),
        own(102, "accept_messages", include_str!("../migrations/0102_accept_messages.sql")),
        own(103, "erasure", include_str!("../migrations/0103_erasure.sql")),
        own(104, "opt_out_spreads", include_str!("../migrations/0104_opt_out_spreads.sql")),
        own(110, "modes", include_str!("../migrations/0110_modes.sql")),
        own(120, "contact_details", include_str!("../migrations/0120_contact_details.sql")),
        own(121, "inbox", include_str!("../migrations/0121_inbox.sql")),
        own(140, "webhooks", include_str!("../migrations/0140_webhooks.sql")),
        own(141, "notices", include_str!("../migrations/0141_notices.sql")),
        own(150, "merges", include_str!("../migrations/0150_merges.sql")),
        own(155, "imports", include_str!("../migrations/0155_imports.sql")),
        own(160, "evidence", include_str!("../migrations/0160_evidence.sql")),
        own(161, "released_holds", include_str!("../migrations/0161_released_holds.sql")),
        own(162, "kept_notices", include_str!("../migrations/0162_kept_notices.sql")),
        own(170, "bans", include_str!("../migrations/0170_bans.sql")),
        own(171, "dead", include_str!("../migrations/0171_dead.sql")),
        own(180, "frozen_census", include_str!("../migrations/0180_frozen_census.sql")),
        own(190, "whose_requests", include_str!("../migrations/0190_whose_requests.sql")),
        own(200, "notices_of_parts", include_str!("../migrations/0200_notices_of_parts.sql")),
    ]);
    all
}

/// Puts the service together.
///
/// # Errors
/// When the configuration is unusable, or the keystore does not answer.
pub async fn build(config: Config, env: Env) -> Result<Parts, BuildError> {
    let db = Database::connect(NAME, &config.database).await?;
    let (clock, entropy) = (env.clock.clone(), env.entropy.clone());
    let keyring =
        Keyring::open(NAME, config.keystore.clone(), config.kms.clone(), clock.clone(), entropy.clone())
            .await?;
    let outbox = Outbox::new(kind::MESSAGING_AUDIT_RECORDED, clock.clone(), entropy.clone());
    let state = Arc::new(State {
        acceptor: Acceptor::start(&db, &outbox, &config.accept, &env.tasks),
        routes: Routes::new(&config.conversations),
        detector: Detector::new(),
        incarnation: OnceCell::new(),
        tasks: env.tasks.clone(),
        peers: env.peers.clone(),
        post: Post::new(&config.webhooks, post::system())?,
        queued: Arc::new(Notify::new()),
        db: db.clone(),
        keyring: keyring.clone(),
        outbox: outbox.clone(),
        clock,
        entropy,
        config,
    });

    // No request waits for the plans of all countries' telephone numbers.
    env.tasks.spawn("load_plans", async {
        let _loaded = tokio::task::spawn_blocking(normalise::load_plans).await;
    });

    let (api, bus) = (Api(state.clone()), Bus::new(&db, &env));
    let grpc = Grpc::new(ContactServiceServer::new(api.clone()))
        .add_service(ConversationServiceServer::new(api.clone()))
        .add_service(ImportServiceServer::new(api.clone()))
        .add_service(LabelServiceServer::new(api.clone()))
        .add_service(MessageServiceServer::new(api.clone()))
        .add_service(HoldServiceServer::new(api.clone()))
        .add_service(WebhookServiceServer::new(api.clone()))
        .add_service(ParticipantServiceServer::new(api))
        .add_service(operation(&bus));
    let mut jobs = relay(&bus, NAME, state.config.relay.clone(), &outbox);
    let webhooks = Arc::new(events::Webhooks(state.clone()));
    let config = state.config.webhook_consumer.clone();
    jobs.extend(consumer(&bus, events::WEBHOOK_CONSUMER, &events::TOLD, webhooks, config));
    jobs.push(jobs::send_webhooks::job(&state, &env.tasks));
    jobs.push(jobs::sweep_webhooks::job(&state, &env.tasks));
    jobs.push(jobs::settle_addresses::job(&state, &env.tasks));
    jobs.push(jobs::spread_opt_outs::job(&state, &env.tasks));
    jobs.push(jobs::sweep_idempotency::job(&state, &env.tasks));
    jobs.push(jobs::sweep_imports::job(&state, &env.tasks));
    jobs.push(jobs::sweep_secrets::job(&state, &env.tasks));
    let probes = [db.probe("postgres")].into_iter().chain(keyring.probes()).collect();
    Ok(Parts { name: NAME, grpc, jobs, probes, http: None })
}
