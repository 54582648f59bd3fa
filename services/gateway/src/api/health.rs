//! Whether we live, and whether we are ready. Living never depends on anything else; being ready does.

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{App, body::Reply, problem::Problem};

/// The state of the process.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// The process lives.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, body = Health)))]
pub(crate) async fn livez() -> Reply<Health> {
    Reply::ok(Health { status: "ok" })
}

/// Requests are welcome.
///
/// 503 while something is missing or the process stops; `field` names what.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, body = Health)))]
pub(crate) async fn readyz(State(app): State<App>) -> Result<Reply<Health>, Problem> {
    let not_ready = |detail: &'static str| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "NOT_READY", detail);
    if app.is_stopping() {
        return Err(not_ready("the process stops").at("process"));
    }
    for probe in app.probes() {
        if (probe.check)().await.is_err() {
            return Err(not_ready("something is missing").at(probe.name));
        }
    }
    Ok(Reply::ok(Health { status: "ok" }))
}
