//! `lethe migrate`: every database to the newest schema, the services' own and their keystores'.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use lethe_service::{Database, DatabaseConfig, Migration, migrate};

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
    keystores_are_apart(config).await
}

/// The keystore is a PostgreSQL instance of its own, whatever its address is called: WAL and base backups are an
/// instance's, and a backup that holds both the sealed and the keys would bring an erased person back.
async fn keystores_are_apart(config: &Config) -> anyhow::Result<()> {
    let mut kinds = BTreeMap::new();
    for store in config.databases() {
        let database = Database::connect(store.service, store.config).await?;
        let identifier = sqlx::query_scalar("select system_identifier from pg_control_system()");
        let identifier: i64 = identifier.fetch_one(database.verify()).await?;
        database.close().await;
        if *kinds.entry(identifier).or_insert(store.keystore) != store.keystore {
            bail!("the keystore must be a PostgreSQL instance of its own: {} holds both", store.config.url);
        }
    }
    Ok(())
}

async fn one(service: &str, database: &DatabaseConfig, migrations: Vec<Migration>) -> anyhow::Result<()> {
    migrate(service, database, &migrations)
        .await
        .with_context(|| format!("cannot migrate {service} at {}", database.url))
}
