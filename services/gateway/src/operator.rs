//! What an operator of the platform does stands in the tenant's audit trail before it is done: a request of his that cannot be
//! recorded does not go on.

use axum::extract::MatchedPath;
use http::request::Parts;
use lethe_ids::{OperatorAccessId, TenantId};
use lethe_proto::identity::{
    RecordOperatorUseRequest, operator_access_service_client::OperatorAccessServiceClient,
};
use lethe_service::CallContext;

use crate::{App, problem::Problem};

/// Records a request, by its method and its route's template.
///
/// # Errors
/// When identity does not take it in, or the access does not stand.
pub(crate) async fn record(
    app: &App,
    parts: &Parts,
    tenant: TenantId,
    access: OperatorAccessId,
) -> Result<(), Problem> {
    let missing = || Problem::internal("the edge is missing");
    let context = parts.extensions.get::<CallContext>().ok_or_else(missing)?;
    let template = parts.extensions.get::<MatchedPath>().ok_or_else(missing)?.as_str();
    let used = RecordOperatorUseRequest {
        tenant_id: tenant.to_string(),
        operator_access_id: access.to_string(),
        route: format!("{} {template}", parts.method),
    };
    let mut identity = OperatorAccessServiceClient::new(app.sessions().peers().client("identity", context));
    identity.record_operator_use(used).await?;
    Ok(())
}
