//! A service's own database. Each role has a pool of its own that connects when it is first used:
//! `<service>_app` for one tenant at a time, `<service>_jobs` to find what is due across tenants, `<service>_verify`
//! to read what is really there. Migrations run as `<service>_owner`.
//!
//! The surprising thing: a [`TenantTx`] that is dropped is rolled back in the background, so a read never waits
//! for the end of its transaction.

mod migrate;
mod provision;

use std::{
    ops::{Deref, DerefMut},
    str::FromStr,
    time::Duration,
};

use lethe_ids::TenantId;
use serde::Deserialize;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};

pub use migrate::{BASE_MIGRATION, Migration, migrate};
pub use provision::provision;

use crate::{Probe, Secret};

/// Where a service's database is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `postgres://host:port/database?sslmode=…`, without a user: the roles are named after the service.
    pub url: String,
    /// Of all roles of the service; none where the server trusts its network.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Of the app role's pool. The jobs role has a quarter of it, at least two; the verify role two.
    pub max_connections: u32,
    /// How long a request waits for a connection before it is refused as unavailable.
    pub acquire_timeout_ms: u64,
}

/// What can go wrong before the first query.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Not a URL of PostgreSQL.
    #[error("the database URL of {service} is not usable")]
    Url {
        /// Whose.
        service: String,
        /// Why.
        source: sqlx::Error,
    },
    /// A statement of a migration failed; nothing of it is there.
    #[error("migration {version} ({name}) of {service} failed")]
    Migration {
        /// Whose.
        service: String,
        /// Its number.
        version: i64,
        /// Its name.
        name: &'static str,
        /// Why.
        source: sqlx::Error,
    },
    /// A migration that ran was edited afterwards.
    #[error("migration {version} ({name}) of {service} is not the one that was applied")]
    Edited {
        /// Whose.
        service: String,
        /// Its number.
        version: i64,
        /// Its name.
        name: &'static str,
    },
    /// Two migrations with one number, or not in their order.
    #[error("migration {version} of {service} has a number that is not above the one before")]
    Order {
        /// Whose.
        service: String,
        /// Its number.
        version: i64,
    },
    /// Anything else that PostgreSQL refused.
    #[error("PostgreSQL did not do as asked for {service}")]
    Sql {
        /// For whom.
        service: String,
        /// Why.
        source: sqlx::Error,
    },
}

/// A connection that was used since then is taken to live.
const LAY_STILL: Duration = Duration::from_millis(200);
/// How long a connection may take to say that it lives. One that fell silent (its server lost power, a firewall forgot it) would
/// else be waited for until TCP gives up, a quarter of an hour, and nobody could have its place in the pool.
const LIVES: Duration = Duration::from_secs(1);

/// The pools of one service. Clones share them.
#[derive(Debug, Clone)]
pub struct Database {
    service: &'static str,
    app: PgPool,
    jobs: PgPool,
    verify: PgPool,
}

async fn lives(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let silent = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    tokio::time::timeout(LIVES, connection.ping()).await.map_err(silent)?
}

impl Database {
    /// Makes the pools; the first connection is opened by the first use.
    ///
    /// # Errors
    /// [`DatabaseError::Url`].
    #[allow(clippy::unused_async, reason = "a pool wants to be made inside the runtime")]
    pub async fn connect(service: &'static str, config: &DatabaseConfig) -> Result<Self, DatabaseError> {
        let pool = |kind: &str, size: u32| -> Result<PgPool, DatabaseError> {
            Ok(PgPoolOptions::new()
                .max_connections(size)
                .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
                .idle_timeout(Duration::from_secs(300))
                // A trip for each acquire would cost more than it finds: only one that lay still is asked whether it lives.
                .test_before_acquire(false)
                .before_acquire(|connection, lain| {
                    Box::pin(async move { Ok(lain.idle_for < LAY_STILL || lives(connection).await.is_ok()) })
                })
                // Whoever waited for its answer may have gone; sqlx would wait on, without a limit.
                .after_release(|connection, _| {
                    Box::pin(async move { lives(connection).await.map(|()| true) })
                })
                .connect_lazy_with(role(service, kind, config)?))
        };
        let size = config.max_connections;
        Ok(Self {
            service,
            app: pool("app", size)?,
            jobs: pool("jobs", (size / 4).max(2))?,
            verify: pool("verify", 2)?,
        })
    }

    /// A transaction of one tenant as the app role: row-level security shows and takes its rows only. BEGIN and the
    /// setting are one trip.
    ///
    /// # Errors
    /// When no connection can be had.
    pub async fn tenant(&self, tenant: TenantId) -> Result<TenantTx, sqlx::Error> {
        TenantTx::begin(&self.app, "begin", tenant).await
    }

    /// A read-only transaction as the verify role. Its policy shows all tenants' rows: the statement names its own.
    ///
    /// # Errors
    /// When no connection can be had.
    pub async fn verify_tenant(&self, tenant: TenantId) -> Result<TenantTx, sqlx::Error> {
        TenantTx::begin(&self.verify, "begin read only", tenant).await
    }

    /// The jobs role: across tenants, only the outbox, leases and due rows; what it finds is `(tenant, id)`, and the
    /// work goes on in a [`TenantTx`].
    pub fn jobs(&self) -> &PgPool {
        &self.jobs
    }

    /// The verify role: across tenants, select only.
    pub fn verify(&self) -> &PgPool {
        &self.verify
    }

    /// The app role without a tenant: for tables that have none, and for SQL functions that set it themselves.
    pub fn app(&self) -> &PgPool {
        &self.app
    }

    /// Whose database it is.
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// Ready when PostgreSQL answers.
    pub fn probe(&self, name: &'static str) -> Probe {
        let pool = self.jobs.clone();
        Probe::new(name, move || {
            let pool = pool.clone();
            async move {
                sqlx::query("select 1").execute(&pool).await.map(drop).map_err(|_| "no answer".to_owned())
            }
        })
    }

    /// Closes the pools and waits until their connections are given back.
    pub async fn close(&self) {
        self.app.close().await;
        self.jobs.close().await;
        self.verify.close().await;
    }
}

/// The options of one of the service's roles: `owner`, `app`, `jobs` or `verify`.
fn role(service: &str, kind: &str, config: &DatabaseConfig) -> Result<PgConnectOptions, DatabaseError> {
    let options = PgConnectOptions::from_str(&config.url)
        .map_err(|source| DatabaseError::Url { service: service.to_owned(), source })?
        .username(&format!("{}_{kind}", prefix(service)))
        .application_name(&format!("lethe {service} {kind}"))
        .extra_float_digits(None)
        .options(limits(kind).iter().copied());
    Ok(match &config.password {
        Some(password) => options.password(password.expose()),
        None => options,
    })
}

/// What PostgreSQL ends by itself. A request is gone long before; a migration takes what it takes.
fn limits(kind: &str) -> &'static [(&'static str, &'static str)] {
    match kind {
        "owner" => &[],
        "app" => &[("statement_timeout", "30s"), ("idle_in_transaction_session_timeout", "60s")],
        _ => &[("statement_timeout", "5min"), ("idle_in_transaction_session_timeout", "60s")],
    }
}

/// Role names are written with underscores: `breach-notification` owns `breach_notification_app`.
fn prefix(service: &str) -> String {
    service.replace('-', "_")
}

/// A transaction in which row-level security knows the tenant. Dropped without [`TenantTx::commit`], it is undone.
#[derive(Debug)]
pub struct TenantTx {
    transaction: Transaction<'static, Postgres>,
    tenant: TenantId,
}

impl TenantTx {
    /// On a task of its own: a caller who goes away meanwhile (a client that hangs up, a deadline) leaves a transaction
    /// that is whole and is rolled back. Dropped in the middle, sqlx 0.9.0 forgets that it ever began: the connection goes
    /// back into the pool with the transaction open, and what the next caller commits by itself is never committed.
    async fn begin(pool: &PgPool, begin: &str, tenant: TenantId) -> Result<Self, sqlx::Error> {
        // Safe: the one thing put in is a UUID.
        let statement = format!("{begin}; select set_config('app.tenant', '{}', true)", tenant.uuid());
        let pool = pool.clone();
        #[allow(
            clippy::disallowed_methods,
            reason = "ends with the statement, which the pool and the server limit"
        )]
        let begun = tokio::spawn(async move { pool.begin_with(AssertSqlSafe(statement)).await });
        let transaction = begun.await.map_err(|_| sqlx::Error::WorkerCrashed)??;
        Ok(Self { transaction, tenant })
    }

    /// Whose transaction it is.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// When PostgreSQL did not confirm: the outcome is unknown then.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await
    }
}

impl Deref for TenantTx {
    type Target = PgConnection;
    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for TenantTx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}
