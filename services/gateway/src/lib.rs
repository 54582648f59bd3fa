//! The gateway: HTTP outside, gRPC inside. It owns nothing that must last, enforces no permission of its own, and keeps
//! the manners of the public API in one place: problems, strict JSON, sealed cursors, preconditions, limits.
//!
//! From outside in: `server` (connections) → `edge` (every request) → `session` (who asks) → `api` (one file a resource).

mod api;
mod app;
mod body;
mod config;
mod cookie;
mod csv;
mod cursor;
mod docs;
mod edge;
mod json;
mod lines;
mod operator;
#[doc(hidden)]
pub mod parsers;
mod path;
mod picture;
mod precondition;
mod problem;
mod query;
mod rate;
mod request_log;
mod routes;
mod server;
mod session;
mod shares;
mod signed;
mod unfit;

pub use config::{Config, Unusable};
pub use edge::address::{Network, NotANetwork, Peer, Wire};
pub use rate::{PlanRates, Rate, Rates};
pub use server::{Listening, serve};

pub(crate) use app::App;
use lethe_service::{BuildError, Env, Migration, Parts, Probe};

/// The service's name.
pub const NAME: &str = "gateway";
/// Every option with its meaning.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// None: the gateway keeps nothing.
pub fn migrations() -> Vec<Migration> {
    Vec::new()
}

/// The gateway's parts: its router is in [`Parts::http`], for [`serve`].
///
/// # Errors
/// An option that cannot be meant.
pub async fn build(config: Config, env: Env) -> Result<Parts, BuildError> {
    let probes = vec![identity_probe(&env)];
    let (app, jobs) = App::new(config, env, probes.clone())?;
    Ok(Parts {
        name: NAME,
        grpc: tonic::service::Routes::default(),
        jobs,
        probes,
        http: Some(api::router(app)),
    })
}

/// Whether identity is heard: without it nobody can be let in.
fn identity_probe(env: &Env) -> Probe {
    let revocations = env.access.revocations().clone();
    Probe::new("identity", move || {
        let is_heard = revocations.is_fresh(tokio::time::Instant::now());
        async move { if is_heard { Ok(()) } else { Err("identity's revocations are not heard".to_owned()) } }
    })
}

/// The OpenAPI 3.1 document of all routes, as it is committed in `services/gateway/openapi.json`.
pub fn openapi_json() -> String {
    docs::render(&api::document())
}
