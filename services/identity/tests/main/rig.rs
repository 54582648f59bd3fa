//! identity served in a small world, and the ways in which tests call it.

use std::time::Duration;

use lethe_access::{PrincipalToken, Role};
use lethe_identity::{Config, Identity, assemble};
use lethe_keyring::KmsConfig;
use lethe_proto::{
    erasure::participant_service_client::ParticipantServiceClient,
    identity::{
        AuthenticateRequest, ChangePasswordRequest, CreateMemberRequest, CreateTenantRequest,
        CreateTenantResponse, LogInRequest, LogInResponse, Member,
        identity_service_client::IdentityServiceClient,
    },
};
use lethe_service::{DatabaseConfig, Failure, PeerChannel, Server};
use lethe_testkit::{Databases, World};
use serde::Deserialize;
use tempfile::TempDir;
use tonic::Status;

pub(crate) type Client = IdentityServiceClient<PeerChannel>;

pub(crate) const PASSWORD: &str = "a long enough password";
pub(crate) const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

pub(crate) struct Rig {
    pub(crate) world: World,
    pub(crate) identity: Identity,
    pub(crate) config: Config,
    _server: Server,
    _kms: Option<TempDir>,
}

#[derive(Deserialize)]
struct Defaults {
    identity: Config,
}

/// The compiled-in configuration, with hashes that cost nothing and no wait for who fails.
pub(crate) async fn config(kms: &TempDir) -> Config {
    let defaults = toml::from_str::<Defaults>(lethe_identity::DEFAULTS).unwrap();
    let mut config = defaults.identity;
    config.database = Databases::fresh("identity", &lethe_identity::migrations()).await;
    config.keystore = Databases::keystore("identity", &lethe_keyring::migrations()).await;
    config.kms = KmsConfig::local(kms.path());
    config.passwords.memory_kib = 64;
    config.passwords.passes = 1;
    config.log_in.failure_floor_ms = 0;
    config
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let kms = TempDir::new().unwrap();
        let mut config = config(&kms).await;
        change(&mut config);
        let mut rig = Self::serve(config).await;
        rig._kms = Some(kms);
        rig
    }

    /// Another replica: the same stores, another process as far as it knows.
    pub(crate) async fn replica(&self) -> Self {
        Self::serve(self.config.clone()).await
    }

    async fn serve(config: Config) -> Self {
        let world = World::new(&["gateway", "operator", "messaging", "search", "retention"]).await;
        let env = world.env("identity").await;
        let identity = Identity::open(config.clone(), &env).await.unwrap();
        let server = world.serve(assemble(&identity, &env), &env);
        Self { world, identity, config, _server: server, _kms: None }
    }

    /// The gateway's client, for `principal` if any.
    pub(crate) fn as_member(&self, principal: &PrincipalToken) -> Client {
        IdentityServiceClient::new(self.world.client("gateway", "identity", Some(principal.clone())))
    }

    /// Messaging's client, for `principal`.
    pub(crate) fn as_messaging(&self, principal: &PrincipalToken) -> Client {
        IdentityServiceClient::new(self.world.client("messaging", "identity", Some(principal.clone())))
    }

    pub(crate) fn gateway(&self) -> Client {
        IdentityServiceClient::new(self.world.client("gateway", "identity", None))
    }

    pub(crate) fn operator(&self) -> Client {
        IdentityServiceClient::new(self.world.client("operator", "identity", None))
    }

    pub(crate) fn participant(&self) -> ParticipantServiceClient<PeerChannel> {
        ParticipantServiceClient::new(self.world.client("retention", "identity", None))
    }

    pub(crate) async fn create_tenant(&self, slug: &str) -> CreateTenantResponse {
        self.operator().create_tenant(tenant(slug)).await.unwrap().into_inner()
    }

    pub(crate) async fn log_in(
        &self,
        slug: &str,
        email: &str,
        password: &str,
    ) -> Result<LogInResponse, Status> {
        let request = LogInRequest {
            tenant_slug: slug.into(),
            email: email.into(),
            password: password.into(),
            ip: "203.0.113.7".into(),
            user_agent: FIREFOX.into(),
        };
        self.gateway().log_in(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn authenticate(&self, token: &str) -> Result<PrincipalToken, Status> {
        let answer = self.gateway().authenticate(AuthenticateRequest { token: token.into() }).await?;
        Ok(PrincipalToken::from_bytes(&answer.into_inner().principal))
    }

    /// Logs in with a one-time password and changes it to [`PASSWORD`].
    pub(crate) async fn settle(&self, slug: &str, email: &str, one_time: &str) -> Someone {
        let opened = self.log_in(slug, email, one_time).await.unwrap();
        let first = self.authenticate(&opened.token).await.unwrap();
        let change =
            ChangePasswordRequest { current_password: one_time.into(), new_password: PASSWORD.into() };
        self.as_member(&first).change_password(change).await.unwrap();
        let principal = self.authenticate(&opened.token).await.unwrap();
        Someone { slug: slug.into(), member: opened.member.unwrap(), token: opened.token, principal }
    }

    /// A new tenant's owner, with a password of his own.
    pub(crate) async fn owner(&self, slug: &str) -> Someone {
        let created = self.create_tenant(slug).await;
        self.settle(slug, "owner@example.com", &created.one_time_password).await
    }

    /// A new member of the owner's tenant, with a password of his own.
    pub(crate) async fn member(&self, owner: &Someone, email: &str, roles: &[Role]) -> Someone {
        let created = self
            .as_member(&owner.principal)
            .create_member(new_member(email, roles))
            .await
            .unwrap()
            .into_inner();
        self.settle(&owner.slug, email, &created.one_time_password).await
    }
}

/// A member who is logged in.
pub(crate) struct Someone {
    pub(crate) slug: String,
    pub(crate) member: Member,
    pub(crate) token: String,
    pub(crate) principal: PrincipalToken,
}

pub(crate) fn tenant(slug: &str) -> CreateTenantRequest {
    CreateTenantRequest {
        slug: slug.into(),
        name: "Acme".into(),
        plan: "free".into(),
        region: "eu".into(),
        owner_name: "Olive Owner".into(),
        owner_email: "owner@example.com".into(),
        ..CreateTenantRequest::default()
    }
}

pub(crate) fn new_member(email: &str, roles: &[Role]) -> CreateMemberRequest {
    CreateMemberRequest {
        name: "Ada Agent".into(),
        email: email.into(),
        phone: "+49 30 901820".into(),
        roles: roles.iter().map(|role| i32::from(*role)).collect(),
        idempotency: None,
        bcrypt_hash: String::new(),
    }
}

/// The reason of a refusal.
pub(crate) fn reason<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    Failure::from_status(&answer.unwrap_err()).reason.into_owned()
}

/// The field of a refusal.
pub(crate) fn field<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    Failure::from_status(&answer.unwrap_err()).field.unwrap_or_default()
}

/// Waits until `condition` holds, at most `limit`; answers how long it took.
pub(crate) async fn within(limit: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "it did not come true within {limit:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    start.elapsed()
}

/// Every row of every table of a database as text, sealed and other bytes as hex.
pub(crate) async fn dump(config: &DatabaseConfig) -> String {
    let mut connection = Databases::superuser(config).await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
          where c.relkind = 'r' and n.nspname = 'public'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut text = String::new();
    for table in tables {
        let statement = format!("select coalesce(string_agg(t::text, E'\\n'), '') from {table} t");
        let rows: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&mut connection).await.unwrap();
        text.push_str(&rows);
        text.push('\n');
    }
    text
}
