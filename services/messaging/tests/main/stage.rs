//! A messaging service of a test's own, and the short way to its RPCs.

use std::collections::BTreeMap;

use lethe_access::{PrincipalToken, Role};
use lethe_ids::{ErasureId, ScopeId, TenantId};
use lethe_keyring::KmsConfig;
use lethe_messaging::Config;
use lethe_proto::{
    erasure::{self, participant_service_client::ParticipantServiceClient},
    messaging::{
        AcceptedMessage, Channel, Contact, Conversation, CreateContactRequest, CreateLabelRequest,
        GetContactRequest, Label, OpenConversationRequest, Profile, ReceiveMessageRequest,
        SendMessageRequest, contact_service_client::ContactServiceClient,
        conversation_service_client::ConversationServiceClient, label_service_client::LabelServiceClient,
        message_service_client::MessageServiceClient,
    },
    request::{Idempotency, Page},
};
use lethe_service::{DatabaseConfig, Failure, PeerChannel};
use lethe_testkit::{Databases, World};
use serde::Deserialize;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tonic::Status;
use uuid::Uuid;

/// One service and one tenant.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) database: DatabaseConfig,
    pub(crate) keystore: DatabaseConfig,
    pub(crate) tenant: TenantId,
    principal: PrincipalToken,
}

#[derive(Deserialize)]
struct Section {
    messaging: Config,
}

/// What is written in config.default.toml.
pub(crate) fn defaults() -> Config {
    lethe_service::load::<Section>(&[lethe_messaging::DEFAULTS], None, std::iter::empty()).unwrap().messaging
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let world = World::new(&["messaging", "gateway", "search", "retention", "identity"]).await;
        let mut config = defaults();
        config.database = Databases::fresh("messaging", &lethe_messaging::migrations()).await;
        config.keystore = Databases::keystore("messaging", &lethe_keyring::migrations()).await;
        let folder = lethe_testkit::servers().await.folder().join(format!("kms-{}", world.entropy.uuid4()));
        let folder = folder.with_extension(config.database.url.rsplit('/').next().unwrap());
        config.kms = KmsConfig::local(folder);
        change(&mut config);
        let (database, keystore) = (config.database.clone(), config.keystore.clone());
        let env = world.env("messaging").await;
        let parts = lethe_messaging::build(config, env.clone()).await.unwrap();
        world.serve(parts, &env);
        let beside = world.env("identity").await;
        world.serve(crate::identity::parts(), &beside);
        let tenant = world.tenant();
        let principal = world.principal(tenant, &[Role::Owner]);
        Self { world, database, keystore, tenant, principal }
    }

    /// The same service, as somebody of another tenant sees it.
    pub(crate) fn foreigner(&self) -> PrincipalToken {
        self.world.principal(self.world.tenant(), &[Role::Owner])
    }

    /// Lets time pass; the principal is renewed.
    pub(crate) fn advance(&mut self, by: std::time::Duration) {
        self.world.clock.advance(by);
        self.principal = self.world.principal(self.tenant, &[Role::Owner]);
    }

    pub(crate) fn channel(&self) -> PeerChannel {
        self.world.client("gateway", "messaging", Some(self.principal.clone()))
    }
    pub(crate) fn contacts(&self) -> ContactServiceClient<PeerChannel> {
        ContactServiceClient::new(self.channel())
    }
    pub(crate) fn conversations(&self) -> ConversationServiceClient<PeerChannel> {
        ConversationServiceClient::new(self.channel())
    }
    pub(crate) fn labels(&self) -> LabelServiceClient<PeerChannel> {
        LabelServiceClient::new(self.channel())
    }
    pub(crate) fn labels_as(&self, principal: &PrincipalToken) -> LabelServiceClient<PeerChannel> {
        LabelServiceClient::new(self.world.client("gateway", "messaging", Some(principal.clone())))
    }
    pub(crate) fn messages(&self) -> MessageServiceClient<PeerChannel> {
        MessageServiceClient::new(self.channel())
    }
    /// For somebody else.
    pub(crate) fn contacts_as(&self, principal: &PrincipalToken) -> ContactServiceClient<PeerChannel> {
        ContactServiceClient::new(self.world.client("gateway", "messaging", Some(principal.clone())))
    }
    pub(crate) fn conversations_as(
        &self,
        principal: &PrincipalToken,
    ) -> ConversationServiceClient<PeerChannel> {
        ConversationServiceClient::new(self.world.client("gateway", "messaging", Some(principal.clone())))
    }
    pub(crate) fn messages_as(&self, principal: &PrincipalToken) -> MessageServiceClient<PeerChannel> {
        MessageServiceClient::new(self.world.client("gateway", "messaging", Some(principal.clone())))
    }
    /// As search, for the viewer.
    pub(crate) fn viewer(&self) -> MessageServiceClient<PeerChannel> {
        MessageServiceClient::new(self.world.client("search", "messaging", Some(self.principal.clone())))
    }
    /// As search, for itself.
    pub(crate) fn indexer(&self) -> MessageServiceClient<PeerChannel> {
        MessageServiceClient::new(self.world.client("search", "messaging", None))
    }
    /// As retention.
    pub(crate) fn participant(&self) -> ParticipantServiceClient<PeerChannel> {
        ParticipantServiceClient::new(self.world.client("retention", "messaging", None))
    }

    /// Past row-level security, for looking.
    pub(crate) async fn superuser(&self) -> PgConnection {
        Databases::superuser(&self.database).await
    }

    /// Holds the head of a contact, so that every writer of it waits.
    pub(crate) async fn hold(&self, contact: &Contact) -> Transaction<'static, Postgres> {
        let options = self.superuser_pool().await;
        let mut tx = options.begin().await.unwrap();
        sqlx::query("select 1 from contact_head where contact_id = $1::uuid for update")
            .bind(uuid_of(&contact.contact_id))
            .execute(&mut *tx)
            .await
            .unwrap();
        tx
    }

    async fn superuser_pool(&self) -> PgPool {
        let database = self.database.url.rsplit('/').next().unwrap();
        let admin = lethe_testkit::servers().await.admin_url();
        PgPool::connect(&format!("{admin}/{database}")).await.unwrap()
    }

    /// Waits until somebody waits for a lock.
    pub(crate) async fn somebody_waits(&self) {
        self.so_many_wait(1).await;
    }

    /// Waits until so many wait for a lock.
    pub(crate) async fn so_many_wait(&self, many: i64) {
        let mut db = self.superuser().await;
        for _ in 0..5_000 {
            let waiting: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity
                  where datname = current_database() and wait_event_type = 'Lock'",
            )
            .fetch_one(&mut db)
            .await
            .unwrap();
            if waiting >= many {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("nobody waits");
    }

    pub(crate) async fn create(&self, profile: Profile) -> Contact {
        let request = CreateContactRequest { profile: Some(profile), idempotency: None };
        self.contacts().create_contact(request).await.unwrap().into_inner()
    }

    /// A contact as it is now.
    pub(crate) async fn get(&self, contact_id: &str) -> Contact {
        let request = GetContactRequest { contact_id: contact_id.into() };
        self.contacts().get_contact(request).await.unwrap().into_inner()
    }

    /// A label.
    pub(crate) async fn label(&self, name: &str) -> Label {
        let request = CreateLabelRequest { name: name.into(), colour: "#a0b1c2".into(), idempotency: None };
        self.labels().create_label(request).await.unwrap().into_inner()
    }

    /// A contact with a name and nothing else.
    pub(crate) async fn contact(&self, name: &str) -> Contact {
        self.create(Profile { name: name.into(), ..Profile::default() }).await
    }

    pub(crate) async fn open(&self, contact: &Contact) -> Conversation {
        let request = OpenConversationRequest {
            contact_id: contact.contact_id.clone(),
            channel: Channel::LiveChat.into(),
            idempotency: None,
        };
        self.conversations().open_conversation(request).await.unwrap().into_inner()
    }

    pub(crate) async fn try_send(
        &self,
        conversation: &Conversation,
        text: &str,
        key: Option<&str>,
    ) -> Result<AcceptedMessage, Status> {
        let request = SendMessageRequest {
            conversation_id: conversation.conversation_id.clone(),
            text: text.into(),
            idempotency: key.map(|key| Idempotency { key: key.into() }),
        };
        self.messages().send_message(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn try_receive(
        &self,
        conversation: &Conversation,
        text: &str,
        key: Option<&str>,
    ) -> Result<AcceptedMessage, Status> {
        let request = ReceiveMessageRequest {
            conversation_id: conversation.conversation_id.clone(),
            text: text.into(),
            idempotency: key.map(|key| Idempotency { key: key.into() }),
        };
        self.messages().receive_message(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn send(
        &self,
        conversation: &Conversation,
        text: &str,
    ) -> lethe_proto::messaging::Message {
        self.try_send(conversation, text, None).await.unwrap().message.unwrap()
    }

    pub(crate) async fn receive(
        &self,
        conversation: &Conversation,
        text: &str,
    ) -> lethe_proto::messaging::Message {
        self.try_receive(conversation, text, None).await.unwrap().message.unwrap()
    }

    /// A new scope about a contact.
    pub(crate) fn scope(&self, contact: &Contact) -> erasure::Scope {
        erasure::Scope {
            scope_id: ScopeId::new(self.world.entropy.uuid4()).to_string(),
            tenant_id: self.tenant.to_string(),
            erasure_id: ErasureId::new(self.world.entropy.uuid4()).to_string(),
            contact_id: contact.contact_id.clone(),
            ..erasure::Scope::default()
        }
    }

    pub(crate) async fn fence(&self, scope: &erasure::Scope) -> erasure::FenceResponse {
        let request = erasure::FenceRequest { scope: Some(scope.clone()), census_key: KEY.to_vec().into() };
        self.participant().fence(request).await.unwrap().into_inner()
    }
    pub(crate) async fn purge(&self, scope: &erasure::Scope) -> erasure::PurgeResponse {
        let request = erasure::PurgeRequest { scope: Some(scope.clone()), census_key: KEY.to_vec().into() };
        self.participant().purge(request).await.unwrap().into_inner()
    }
    pub(crate) async fn verify(&self, scope: &erasure::Scope) -> Vec<erasure::Finding> {
        let request =
            erasure::VerifyAbsentRequest { scope: Some(scope.clone()), census_key: KEY.to_vec().into() };
        self.participant().verify_absent(request).await.unwrap().into_inner().findings
    }
}

/// The census key of a test's erasures.
pub(crate) const KEY: [u8; 32] = [42; 32];

/// Everything that a contact can have.
pub(crate) fn full_profile(mark: &str) -> Profile {
    Profile {
        name: format!("Maud {mark}"),
        phone: "+44 20 7946 0018".into(),
        email: format!("maud.{mark}@example.org"),
        company: format!("Company {mark}"),
        address: format!("1 High Street {mark}\nLeeds"),
        tags: vec![format!("tag-{mark}")],
        custom_fields: BTreeMap::from([(format!("key-{mark}"), format!("value {mark}"))]),
        lifecycle_stage: "customer".into(),
        lead_score: Some(42),
        ..Profile::default()
    }
}

pub(crate) fn page(limit: u32, after: bytes::Bytes) -> Option<Page> {
    Some(Page { limit, after })
}

/// The stable reason of a refusal.
pub(crate) fn reason(status: &Status) -> String {
    Failure::from_status(status).reason.into_owned()
}

/// The field that a refusal names.
pub(crate) fn field(status: &Status) -> String {
    Failure::from_status(status).field.unwrap_or_default()
}

/// The UUID in an id's text.
pub(crate) fn uuid_of(id: &str) -> Uuid {
    Uuid::try_parse(id.rsplit('_').next().unwrap()).unwrap()
}
