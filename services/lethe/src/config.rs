//! The configuration of a process: its own options and one section a service.

mod wires;

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lethe_access::{PublicKeys, ServiceKey};
use lethe_service::{
    ConfigError, DatabaseConfig, NatsConfig, Secret, ServerConfig, TelemetryConfig, tls::TlsConfig,
};
use serde::Deserialize;

use crate::platform::SERVICES;

/// Every option of the platform.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub(crate) telemetry: TelemetryConfig,
    pub(crate) nats: NatsConfig,
    /// Limits of each service's gRPC server.
    pub(crate) server: ServerConfig,
    /// Where services of this process listen for other processes.
    pub(crate) grpc: BTreeMap<String, SocketAddr>,
    /// Where services of other processes are; several replicas with commas between.
    pub(crate) peers: BTreeMap<String, String>,
    /// The certificate of this process towards the others; without it the wire between them stays on loopback.
    #[serde(default)]
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) access: AccessConfig,
    pub(crate) identity: lethe_identity::Config,
    pub(crate) messaging: lethe_messaging::Config,
    pub(crate) search: lethe_search::Config,
    pub(crate) retention: lethe_retention::Config,
    pub(crate) gateway: lethe_gateway::Config,
}

/// Who signs with what, and who is believed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessConfig {
    seeds: BTreeMap<String, Secret>,
    public_keys: BTreeMap<String, String>,
}

/// A database that a service needs.
pub(crate) struct Store<'a> {
    pub(crate) service: &'static str,
    pub(crate) config: &'a DatabaseConfig,
    /// It is in the keystore instance.
    pub(crate) keystore: bool,
}

fn defaults() -> [&'static str; 8] {
    [
        include_str!("../config.default.toml"),
        lethe_service::server::DEFAULTS,
        lethe_service::telemetry::DEFAULTS,
        lethe_identity::DEFAULTS,
        lethe_messaging::DEFAULTS,
        lethe_search::DEFAULTS,
        lethe_retention::DEFAULTS,
        lethe_gateway::DEFAULTS,
    ]
}

/// Defaults < `file` < environment.
///
/// # Errors
/// [`ConfigError`], with the path of what is wrong.
pub fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
    lethe_service::load(&defaults(), file, std::env::vars())
}

/// The merged configuration as TOML. Secrets are replaced by dots; where they stand in files, the files are named.
pub(crate) fn print(file: Option<&Path>) -> anyhow::Result<String> {
    let mut table = lethe_service::config::merge(&defaults(), file, std::env::vars())?;
    lethe_service::config::parse::<Config>(table.clone())?;
    hide_secrets(&mut table);
    Ok(toml::to_string_pretty(&table)?)
}

fn hide_secrets(table: &mut toml::Table) {
    for (key, value) in table.iter_mut() {
        match value {
            toml::Value::Table(inner) if key == "seeds" => {
                for (_, seed) in inner.iter_mut().filter(|(_, seed)| seed.is_str()) {
                    *seed = "…".into();
                }
            }
            toml::Value::Table(inner) => hide_secrets(inner),
            toml::Value::String(text)
                if ["password", "cursor_key", "signing_key"].contains(&key.as_str()) =>
            {
                *text = "…".into();
            }
            _ => {}
        }
    }
}

impl Config {
    /// All databases, the services' own and their keystores'.
    pub(crate) fn databases(&self) -> [Store<'_>; 7] {
        let own = |service, config| Store { service, config, keystore: false };
        let keystore = |service, config| Store { service, config, keystore: true };
        [
            own(lethe_identity::NAME, &self.identity.database),
            own(lethe_messaging::NAME, &self.messaging.database),
            own(lethe_search::NAME, &self.search.database),
            own(lethe_retention::NAME, &self.retention.database),
            keystore(lethe_identity::NAME, &self.identity.keystore),
            keystore(lethe_messaging::NAME, &self.messaging.keystore),
            keystore(lethe_retention::NAME, &self.retention.keystore),
        ]
    }

    /// Whether the process could start with it, as far as can be said without any server.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub fn check(&self) -> anyhow::Result<()> {
        self.public_keys()?;
        for name in self.access.seeds.keys() {
            self.key(name)?;
        }
        for name in self.grpc.keys().chain(self.peers.keys()) {
            ensure!(SERVICES.contains(&name.as_str()), "{name} is no service: {}", SERVICES.join(", "));
        }
        self.check_wires()?;
        let [main, keystores] = [false, true].map(|keystore| {
            let of_kind = self.databases().into_iter().filter(|store| store.keystore == keystore);
            of_kind.map(|store| server_of(&store.config.url)).collect::<Vec<_>>()
        });
        if let Some(shared) = main.iter().find(|server| keystores.contains(server)) {
            bail!("the keystore must be a PostgreSQL instance of its own: {shared} holds services' data too");
        }
        Ok(())
    }

    /// The key that `service` signs with.
    pub(crate) fn key(&self, service: &str) -> anyhow::Result<ServiceKey> {
        let seed =
            self.access.seeds.get(service).with_context(|| format!("access.seeds.{service} is missing"))?;
        let seed = key_bytes(seed.expose()).with_context(|| format!("access.seeds.{service}"))?;
        ServiceKey::from_seed(&seed).with_context(|| format!("access.seeds.{service}"))
    }

    /// Everybody's public keys.
    pub(crate) fn public_keys(&self) -> anyhow::Result<PublicKeys> {
        let mut keys = PublicKeys::new();
        for (service, text) in &self.access.public_keys {
            let public = key_bytes(text).with_context(|| format!("access.public_keys.{service}"))?;
            keys.insert(service.clone(), &public).with_context(|| format!("access.public_keys.{service}"))?;
        }
        Ok(keys)
    }
}

/// `host:port` of a URL.
fn server_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_owned()
}

/// 32 bytes from base64url without padding.
pub(crate) fn key_bytes(text: &str) -> anyhow::Result<[u8; 32]> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.context("must be 32 bytes in base64url without padding")
}
