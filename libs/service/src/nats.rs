//! The bus. One connection a service, made in the background and again whenever it breaks; replies come to an
//! inbox prefix of the service's own, because `_INBOX.>` would let any user read all replies.

use std::{path::PathBuf, time::Duration};

use async_nats::{Client, ConnectOptions, connection::State, jetstream};
use serde::Deserialize;

use crate::{Probe, Secret};

/// Where NATS is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsConfig {
    /// `nats://host:port`, or `tls://host:port` over TLS; several with commas between.
    pub url: String,
    /// The authority of the servers' certificates, in PEM; none: those that the machine trusts.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// None where the server lets anyone in.
    #[serde(default)]
    pub user: Option<String>,
    /// Of that user.
    #[serde(default)]
    pub password: Option<Secret>,
}

/// NATS cannot be used with this configuration.
#[derive(Debug, thiserror::Error)]
#[error("the NATS URL is not usable")]
pub struct NatsError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// How often the server is asked whether it lives. Of one that fell silent this is known after the third time, and not after minutes.
const ASKED_EVERY: Duration = Duration::from_secs(5);

/// A connection to NATS. Clones share it.
#[derive(Debug, Clone)]
pub struct Nats {
    client: Client,
    jetstream: jetstream::Context,
}

impl Nats {
    /// Begins to connect and returns at once; what is published before it stands waits.
    ///
    /// # Errors
    /// [`NatsError`] when the URL is none.
    pub async fn connect(service: &'static str, config: &NatsConfig) -> Result<Self, NatsError> {
        let mut options = ConnectOptions::new()
            .name(format!("lethe {service}"))
            .custom_inbox_prefix(format!("_INBOX_{service}"))
            .retry_on_initial_connect()
            .ping_interval(ASKED_EVERY)
            .event_callback(move |event| async move {
                tracing::debug!(service, %event, "nats");
            });
        if let (Some(user), Some(password)) = (&config.user, &config.password) {
            options = options.user_and_password(user.clone(), password.expose().to_owned());
        }
        if let Some(ca) = &config.ca {
            options = options.add_root_certificates(ca.clone());
        }
        let servers: Vec<String> = config.url.split(',').map(|url| url.trim().to_owned()).collect();
        let client = async_nats::connect_with_options(servers, options)
            .await
            .map_err(|error| NatsError(Box::new(error)))?;
        Ok(Self { jetstream: jetstream::new(client.clone()), client })
    }

    /// The client itself.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// JetStream over this connection.
    pub fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    /// Ready while the connection stands.
    pub fn probe(&self) -> Probe {
        let client = self.client.clone();
        Probe::new("nats", move || {
            let state = client.connection_state();
            async move { if state == State::Connected { Ok(()) } else { Err("not connected".to_owned()) } }
        })
    }
}
