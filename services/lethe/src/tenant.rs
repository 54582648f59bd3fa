//! Tenants from the operator's side: `lethe tenant create`, and the demo tenants.

use lethe_ambient::{Clock, Entropy};
use lethe_proto::identity::{
    CreateTenantRequest, CreateTenantResponse, identity_service_client::IdentityServiceClient,
};
use lethe_service::Failure;

use crate::{
    Config, cli,
    platform::{self, Running},
};

/// `lethe tenant create`: prints the owner's one-time password, which is shown this once.
#[allow(clippy::print_stdout, reason = "the password goes to standard output, and nowhere else")]
pub(crate) async fn create(config: Config, create: cli::TenantCreate) -> anyhow::Result<()> {
    let request = CreateTenantRequest {
        slug: create.slug,
        name: create.name,
        plan: create.plan,
        region: create.region,
        owner_name: create.owner_name,
        owner_email: create.owner_email,
        ..CreateTenantRequest::default()
    };
    let made = by_operator(config, request).await?;
    let tenant = made.tenant.unwrap_or_default();
    println!("tenant {} ({})", tenant.slug, tenant.tenant_id);
    println!("one-time password of the owner: {}", made.one_time_password);
    Ok(())
}

/// Makes a tenant with an identity service of this process's own, on the configured stores: whoever can read the
/// configuration's secrets is the operator. Works beside a running platform.
pub(crate) async fn by_operator(
    config: Config,
    request: CreateTenantRequest,
) -> anyhow::Result<CreateTenantResponse> {
    let identity = own_identity(config).await?;
    let made = ask(&identity, request).await;
    identity.stop().await?;
    made
}

/// An identity service of this process's own, on the configured stores.
pub(crate) async fn own_identity(mut config: Config) -> anyhow::Result<Running> {
    // Nobody but this process calls it, and it calls nobody.
    config.grpc.clear();
    config.peers.clear();
    platform::start_some(config, &[lethe_identity::NAME], Clock::system(), Entropy::system()).await
}

/// The demo tenant: made once, answered as it is from then on.
pub(crate) async fn ensure(
    platform: &Running,
    slug: &str,
    name: &str,
    owner_name: &str,
    owner_email: &str,
    owner_password: &str,
) -> anyhow::Result<()> {
    let request = CreateTenantRequest {
        slug: slug.into(),
        name: name.into(),
        plan: "demo".into(),
        region: "eu".into(),
        owner_name: owner_name.into(),
        owner_email: owner_email.into(),
        keep_existing: true,
        owner_password: owner_password.into(),
    };
    ask(platform, request).await.map(|_| ())
}

async fn ask(platform: &Running, request: CreateTenantRequest) -> anyhow::Result<CreateTenantResponse> {
    let mut identity = IdentityServiceClient::new(platform.operator(lethe_identity::NAME));
    let answer = identity.create_tenant(request).await.map_err(|status| {
        let failure = Failure::from_status(&status);
        anyhow::anyhow!("{failure}")
    })?;
    Ok(answer.into_inner())
}
