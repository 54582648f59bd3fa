//! A retention service with fake participants, whose saga a test moves step by step.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use lethe_access::Role;
use lethe_ids::{ContactId, ConversationId, ErasureId, MemberId, SessionId, TenantId};
use lethe_proto::{
    erasure::{Mode, Suppression},
    request::Idempotency,
    retention::{
        ConfirmErasureRequest, Erasure, GetCertificateRequest, GetCertificateResponse, GetErasureRequest,
        RequestErasureRequest, RequestErasureResponse, retention_service_client::RetentionServiceClient,
    },
};
use lethe_retention::{
    Config, DEFAULTS, NAME, build, certificate,
    saga::{Advanced, Saga},
    store::Lease,
};
use lethe_service::{DatabaseConfig, Env, Failure, PeerChannel};
use lethe_testkit::{Databases, World};
use serde::Deserialize;
use sqlx::PgConnection;
use tempfile::TempDir;
use time::{OffsetDateTime, macros::datetime};
use tonic::Status;

use crate::fake::{Calls, Fake};

pub(crate) const PARTICIPANTS: [&str; 4] = ["messaging", "search", "identity", "retention"];

/// Ten o'clock on a Monday.
pub(crate) const NOW: OffsetDateTime = datetime!(2026-01-05 10:00 UTC);

pub(crate) struct Fixture {
    pub(crate) world: World,
    pub(crate) env: Env,
    pub(crate) config: Config,
    pub(crate) saga: Saga,
    pub(crate) calls: Calls,
    pub(crate) fakes: BTreeMap<&'static str, Fake>,
    pub(crate) tenant: TenantId,
    pub(crate) member: MemberId,
    folder: TempDir,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Root {
    retention: Config,
}

/// The compiled-in defaults with `options` laid over them.
pub(crate) fn config(options: &[(&str, &str)]) -> Config {
    let options =
        options.iter().map(|(key, value)| (format!("LETHE__RETENTION__{key}"), (*value).to_owned()));
    lethe_service::load::<Root>(&[DEFAULTS], None, options)
        .expect("the defaults are a configuration")
        .retention
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With other options than the defaults.
    pub(crate) async fn with(options: &[(&str, &str)]) -> Self {
        let clock = lethe_ambient::Clock::fixed(NOW);
        let world = World::with_clock(&["gateway", "messaging", "search", "retention"], clock).await;
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let key = certificate::generate_key(&world.entropy, NOW, NOW + Duration::from_secs(365 * 86400))
            .expect("a key");
        let (ledger, kms) = (path("ledger"), path("kms"));
        let mut all = vec![
            ("CERTIFICATE__SIGNING_KEY", key.expose().as_str()),
            ("LEDGER__PATH", ledger.as_str()),
            ("KMS__DIRECTORY", kms.as_str()),
        ];
        all.extend_from_slice(options);
        let mut config = config(&all);
        config.database = Databases::fresh(NAME, &lethe_retention::migrations()).await;
        config.keystore = Databases::keystore(NAME, &lethe_keyring::migrations()).await;

        let calls = Calls::default();
        let mut fakes = BTreeMap::new();
        for name in ["messaging", "search", "identity"] {
            let fake = Fake::new(name, &world.clock, &calls);
            world.serve(fake.parts(), &world.env(name).await);
            fakes.insert(name, fake);
        }
        // It is a participant of its own.
        let env = Env { peers: world.peers(NAME), ..world.env(NAME).await };
        let mut parts = build(config.clone(), env.clone()).await.expect("retention is built");
        // The test moves the saga.
        parts.jobs.clear();
        world.serve(parts, &env);
        let saga = lethe_retention::saga(&config, &env).await.expect("a saga");
        let tenant = world.tenant();
        let member = MemberId::new(world.entropy.uuid7(&world.clock));
        Self { world, env, config, saga, calls, fakes, tenant, member, folder }
    }

    pub(crate) fn fake(&self, name: &str) -> &Fake {
        &self.fakes[name]
    }

    pub(crate) fn contact(&self) -> ContactId {
        ContactId::new(self.world.entropy.uuid7(&self.world.clock))
    }

    /// What the participants were asked since the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().expect("no test panics in here"))
    }

    pub(crate) fn ledger_folder(&self) -> PathBuf {
        self.folder.path().join("ledger")
    }

    /// A client of the gateway's for the fixture's member as a privacy officer.
    pub(crate) fn client(&self) -> RetentionServiceClient<PeerChannel> {
        self.client_of(self.tenant, &[Role::PrivacyOfficer])
    }

    pub(crate) fn client_of(&self, tenant: TenantId, roles: &[Role]) -> RetentionServiceClient<PeerChannel> {
        let session = SessionId::new(self.world.entropy.uuid7(&self.world.clock));
        let principal = self.world.access.principal(tenant, self.member, session, roles);
        RetentionServiceClient::new(self.world.client("gateway", NAME, Some(principal)))
    }

    pub(crate) async fn request(
        &self,
        contact: ContactId,
        key: &str,
    ) -> Result<RequestErasureResponse, Status> {
        let request = RequestErasureRequest {
            contact_id: contact.to_string(),
            received_at: None,
            idempotency: Some(Idempotency { key: key.to_owned() }),
            ..RequestErasureRequest::default()
        };
        self.client().request_erasure(request).await.map(tonic::Response::into_inner)
    }

    /// A confirmed erasure of a new contact in that mode, with suppression.
    pub(crate) async fn confirmed_as(&self, mode: Mode) -> (ErasureId, ContactId) {
        let contact = self.contact();
        let conversation = ConversationId::new(self.world.entropy.uuid4()).to_string();
        let request = RequestErasureRequest {
            contact_id: contact.to_string(),
            received_at: None,
            idempotency: Some(Idempotency { key: contact.to_string() }),
            mode: mode.into(),
            conversation_id: if mode == Mode::Conversation { conversation.clone() } else { String::new() },
            suppress: true,
        };
        self.fake("messaging").part().conversation_ids = match mode {
            Mode::Conversation | Mode::Email => vec![conversation],
            _ => Vec::new(),
        };
        self.fake("messaging").part().suppressions =
            vec![Suppression { kind: 2, mac: vec![9; 32].into(), key_version: 1, normaliser_version: 1 }];
        let answer = self.client().request_erasure(request).await.expect("requested").into_inner();
        let id = answer.erasure.expect("an erasure").erasure_id;
        self.confirm(&id, &answer.confirmation_token).await.expect("confirmed");
        self.asked();
        (id.parse().expect("an id"), contact)
    }

    pub(crate) async fn confirm(&self, erasure_id: &str, token: &str) -> Result<Erasure, Status> {
        let request =
            ConfirmErasureRequest { erasure_id: erasure_id.to_owned(), confirmation_token: token.to_owned() };
        self.client().confirm_erasure(request).await.map(tonic::Response::into_inner)
    }

    /// A confirmed erasure of a new contact.
    pub(crate) async fn confirmed(&self) -> (ErasureId, ContactId) {
        let contact = self.contact();
        let answer = self.request(contact, &contact.to_string()).await.expect("requested");
        let id = answer.erasure.expect("an erasure").erasure_id;
        self.confirm(&id, &answer.confirmation_token).await.expect("confirmed");
        self.asked();
        (id.parse().expect("an id"), contact)
    }

    pub(crate) async fn get(&self, erasure: ErasureId) -> Erasure {
        let request = GetErasureRequest { erasure_id: erasure.to_string() };
        self.client().get_erasure(request).await.expect("an erasure").into_inner()
    }

    pub(crate) async fn certificate(&self, erasure: ErasureId) -> Result<GetCertificateResponse, Status> {
        let request = GetCertificateRequest { erasure_id: erasure.to_string() };
        self.client().get_certificate(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) fn keys_document(&self) -> Vec<u8> {
        self.saga.signer.keys_document().expect("a document")
    }

    pub(crate) async fn claim(&self, erasure: ErasureId) -> Lease {
        self.saga.claim(self.tenant, erasure).await.expect("PostgreSQL answers").expect("it is due")
    }

    /// One step.
    pub(crate) async fn advance(&self, lease: Lease) -> Advanced {
        self.saga.advance(lease).await.expect("PostgreSQL answers")
    }

    /// Moves an erasure until it waits or rests, gives the claim back as the job does, and tells what was done.
    pub(crate) async fn run(&self, erasure: ErasureId) -> Vec<String> {
        let lease = self.claim(erasure).await;
        let mut story = Vec::new();
        loop {
            let advanced = self.advance(lease).await;
            story.push(tell(&advanced));
            match advanced {
                Advanced::Waits(at) => {
                    self.saga.release(lease, Some(at)).await.expect("PostgreSQL answers");
                    return story;
                }
                Advanced::Rests | Advanced::Lost => return story,
                _ => assert!(story.len() < 200, "it does not come to an end: {story:?}"),
            }
        }
    }

    pub(crate) async fn superuser(&self) -> PgConnection {
        superuser(&self.config.database).await
    }
}

pub(crate) async fn superuser(config: &DatabaseConfig) -> PgConnection {
    Databases::superuser(config).await
}

/// A step in few words: `did fence messaging`.
pub(crate) fn tell(advanced: &Advanced) -> String {
    let name = |name: &Option<String>| name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    match advanced {
        Advanced::Did(step, who) => format!("did {}{}", step.text(), name(who)),
        Advanced::Failed(step, who, code) => format!("{}{} waits for {code}", step.text(), name(who)),
        Advanced::Entered(state) => format!("-> {state}"),
        Advanced::Waits(_) => "waits".to_owned(),
        Advanced::Rests => "rests".to_owned(),
        Advanced::Lost => "lost".to_owned(),
    }
}

/// The reason of a refusal.
pub(crate) fn reason<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    Failure::from_status(&answer.expect_err("a refusal")).reason.into_owned()
}

/// What a fake refuses with.
pub(crate) fn refusal(reason: &'static str) -> Status {
    Failure::unavailable(reason, "as the test wants it").into()
}
