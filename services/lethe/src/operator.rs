//! `lethe operator`: how an operator of the platform asks a tenant for access to its data, and makes a session of what it
//! granted. There is no other way in: what the tenant does not grant does not open.

use lethe_access::Permission;
use lethe_proto::identity::{
    OpenOperatorAccessRequest, OpenOperatorAccessResponse, OperatorAccess, OperatorAccessReason,
    RequestOperatorAccessRequest, operator_access_service_client::OperatorAccessServiceClient,
};
use lethe_service::{Failure, PeerChannel};
use tonic::{Response, Status};

use crate::{Config, cli, tenant};

/// `lethe operator request`.
#[allow(clippy::print_stdout, reason = "what was asked for goes to standard output")]
pub(crate) async fn request(config: Config, asked: cli::OperatorRequest) -> anyhow::Result<()> {
    let request = RequestOperatorAccessRequest {
        tenant_slug: asked.tenant,
        operator: asked.operator,
        reason: reason(&asked.reason)?.into(),
        ticket: asked.ticket,
        permissions: asked.permissions.iter().map(|word| permission(word)).collect::<anyhow::Result<_>>()?,
        hours: asked.hours,
    };
    let access = request_access(config, request).await?;
    println!("{} waits for the tenant's answer, for at most seven days", access.operator_access_id);
    Ok(())
}

/// `lethe operator open`: prints the token, which is shown this once.
#[allow(clippy::print_stdout, reason = "the token goes to standard output, and nowhere else")]
pub(crate) async fn open(config: Config, which: cli::OperatorOpen) -> anyhow::Result<()> {
    let opened = open_access(config, &which.tenant, &which.access).await?;
    println!("{} is open; each request stands in the tenant's audit trail", which.access);
    println!("{}", opened.token);
    Ok(())
}

/// Asks a tenant, by an identity service of this process's own on the configured stores.
///
/// # Errors
/// Identity's refusal, as a [`Failure`]; or a store is away.
pub async fn request_access(
    config: Config,
    request: RequestOperatorAccessRequest,
) -> anyhow::Result<OperatorAccess> {
    by_operator(config, async |mut identity| identity.request_operator_access(request).await).await
}

/// Makes a session of what the tenant `slug` granted, in the same way.
///
/// # Errors
/// As [`request_access`].
pub async fn open_access(
    config: Config,
    slug: &str,
    access: &str,
) -> anyhow::Result<OpenOperatorAccessResponse> {
    let request =
        OpenOperatorAccessRequest { tenant_slug: slug.to_owned(), operator_access_id: access.to_owned() };
    by_operator(config, async |mut identity| identity.open_operator_access(request).await).await
}

async fn by_operator<T>(
    config: Config,
    ask: impl AsyncFnOnce(OperatorAccessServiceClient<PeerChannel>) -> Result<Response<T>, Status>,
) -> anyhow::Result<T> {
    let identity = tenant::own_identity(config).await?;
    let answer = ask(OperatorAccessServiceClient::new(identity.operator(lethe_identity::NAME))).await;
    identity.stop().await?;
    Ok(answer.map_err(|status| Failure::from_status(&status))?.into_inner())
}

fn reason(word: &str) -> anyhow::Result<OperatorAccessReason> {
    let name = format!("OPERATOR_ACCESS_REASON_{}", word.to_uppercase());
    OperatorAccessReason::from_str_name(&name)
        .filter(|reason| *reason != OperatorAccessReason::Unspecified)
        .ok_or_else(|| anyhow::anyhow!("--reason is one of support, incident, maintenance, legal"))
}

fn permission(word: &str) -> anyhow::Result<i32> {
    let permission = Permission::from_str_name(&format!("PERMISSION_{}", word.to_uppercase()));
    permission.map(i32::from).ok_or_else(|| anyhow::anyhow!("--permissions: {word} is none"))
}
