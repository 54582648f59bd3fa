//! `lethe migrate`: every database to the newest schema, the services' own and their keystores'.

use anyhow::Context;
use lethe_service::{DatabaseConfig, Migration, migrate};

use crate::Config;

/// Runs what has not run yet; safe to run twice, and at once from two places.
pub(crate) async fn run(config: &Config) -> anyhow::Result<()> {
    let (identity, messaging) = (&config.identity, &config.messaging);
    let (search, retention) = (&config.search, &config.retention);
    tokio::try_join!(
        one(lethe_identity::NAME, &identity.database, lethe_identity::migrations()),
        one(lethe_identity::NAME, &identity.keystore, lethe_keyring::migrations()),
        one(lethe_messaging::NAME, &messaging.database, lethe_messaging::migrations()),
        one(lethe_messaging::NAME, &messaging.keystore, lethe_keyring::migrations()),
        one(lethe_search::NAME, &search.database, lethe_search::migrations()),
        one(lethe_retention::NAME, &retention.database, lethe_retention::migrations()),
        one(lethe_retention::NAME, &retention.keystore, lethe_keyring::migrations()),
    )?;
    Ok(())
}

async fn one(service: &str, database: &DatabaseConfig, migrations: Vec<Migration>) -> anyhow::Result<()> {
    migrate(service, database, &migrations)
        .await
        .with_context(|| format!("cannot migrate {service} at {}", database.url))
}
