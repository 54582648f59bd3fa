//! The three server processes of a `lethe dev`.

use anyhow::Context;
use lethe_servers::{Durability, Nats, Postgres, Programs, free_port};
use lethe_service::provision;

use super::{Folder, Home};
use crate::Config;

/// PostgreSQL for the services, PostgreSQL for the keystore (an instance of its own: WAL and backups are an
/// instance's), and NATS.
pub(crate) struct Stores {
    main: Postgres,
    keystore: Postgres,
    nats: Nats,
}

impl Stores {
    /// Starts all three at once, on free ports of loopback.
    pub(crate) async fn start(
        folder: &Folder,
        home: &Home<'_>,
        durability: Durability,
    ) -> anyhow::Result<Self> {
        let programs = Programs::find()?;
        let postgres = async |name: &str| {
            let password = home.secret(name)?;
            let folder = folder.path(name);
            let started = Postgres::start(&programs, &folder, free_port()?, &password, durability);
            started.await.map_err(anyhow::Error::new)
        };
        let nats = async {
            let (folder, password) = (folder.path("nats"), home.secret("nats")?);
            let started = Nats::start(&programs, &folder, free_port()?, &password).await;
            started.map_err(anyhow::Error::new)
        };
        let (main, keystore, nats) = tokio::try_join!(postgres("postgres"), postgres("keystore"), nats)?;
        Ok(Self { main, keystore, nats })
    }

    /// The superuser's way into the services' instance, without a database.
    pub(crate) fn main_url(&self) -> String {
        self.main.admin_url()
    }

    /// The superuser's way into the keystore's instance, without a database.
    pub(crate) fn keystore_url(&self) -> String {
        self.keystore.admin_url()
    }

    /// `postgres://host:port` of the services' and of the keystore's instance, and the URL of NATS.
    pub(crate) fn addresses(&self) -> [String; 3] {
        let postgres = |server: &Postgres| format!("postgres://127.0.0.1:{}", server.port());
        [postgres(&self.main), postgres(&self.keystore), self.nats.url()]
    }

    /// The user of NATS.
    pub(crate) fn nats_user(&self) -> &'static str {
        self.nats.user()
    }

    /// Makes each service's roles and databases in both instances.
    pub(crate) async fn provision(&self, config: &Config, home: &Home<'_>) -> anyhow::Result<()> {
        let password = home.secret("databases")?;
        for store in config.databases() {
            let admin = if store.keystore { self.keystore.admin_url() } else { self.main.admin_url() };
            provision(&format!("{admin}/postgres"), store.service, store.service, Some(&password))
                .await
                .with_context(|| format!("cannot make the database of {}", store.service))?;
        }
        Ok(())
    }

    /// Stops them in order.
    pub(crate) async fn stop(self) {
        tokio::join!(self.main.stop(), self.keystore.stop(), self.nats.stop());
    }
}
