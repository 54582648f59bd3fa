//! A fresh database a test. The schema is migrated once a process into a template, which each test clones.

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::digest;
use lethe_service::{DatabaseConfig, Migration, Secret, migrate, provision};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;

use crate::{Proxy, servers};

/// Of the roles of all services under test.
const PASSWORD: &str = "testkit-role";

type Template = Arc<OnceCell<String>>;
static TEMPLATES: LazyLock<Mutex<HashMap<String, Template>>> = LazyLock::new(Mutex::default);
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Makes databases.
#[derive(Debug, Clone, Copy)]
pub struct Databases;

impl Databases {
    /// An own database of `service` on the main instance, migrated.
    pub async fn fresh(service: &str, migrations: &[Migration]) -> DatabaseConfig {
        clone(&servers().await.admin_url(), "main", service, migrations).await
    }

    /// An own database of `service` on the keystore's instance, migrated.
    pub async fn keystore(service: &str, migrations: &[Migration]) -> DatabaseConfig {
        clone(&servers().await.keystore_admin_url(), "keystore", service, migrations).await
    }

    /// The superuser's way into the database of `config`, past row-level security: for looking, not for the code
    /// under test.
    pub async fn superuser(config: &DatabaseConfig) -> PgConnection {
        let servers = servers().await;
        let database = config.url.rsplit('/').next().expect("a database");
        let main = servers.admin_url();
        let place = main.rsplit('@').next().expect("a host");
        let admin = if config.url.contains(place) { main } else { servers.keystore_admin_url() };
        PgConnection::connect(&format!("{admin}/{database}")).await.expect("the superuser gets in")
    }

    /// A proxy before the main instance.
    pub async fn proxy() -> Proxy {
        let admin = servers().await.admin_url();
        let port = admin.rsplit(':').next().and_then(|port| port.parse().ok());
        Proxy::before(port.expect("a port")).await
    }

    /// The same database of the main instance, reached through a proxy.
    pub fn through(proxy: &Proxy, config: &DatabaseConfig) -> DatabaseConfig {
        let database = config.url.rsplit('/').next().expect("a database");
        DatabaseConfig { url: format!("postgres://{}/{database}", proxy.address()), ..config.clone() }
    }

    /// Whoever next wants what the statement `lock` locks never hears of it: while it waits, its connection falls silent, as if the server had
    /// lost its power. New connections get through.
    pub async fn fall_silent_amid(lock: &'static str, proxy: &Proxy, config: &DatabaseConfig) {
        let mut holder = Self::superuser(config).await;
        let mut held = holder.begin().await.expect("a transaction");
        sqlx::raw_sql(lock).execute(&mut *held).await.expect("a lock");
        let waits = "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')";
        for _ in 0..1_000 {
            if sqlx::query_scalar(waits).fetch_one(&mut *held).await.expect("an answer") {
                proxy.fall_silent();
                // Before anything more is said.
                tokio::time::sleep(Duration::from_millis(100)).await;
                held.rollback().await.expect("it lets go");
                proxy.mend();
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody asked for what {lock} locks");
    }
}

async fn clone(admin: &str, instance: &str, service: &str, migrations: &[Migration]) -> DatabaseConfig {
    let mut hash = digest::Context::new(&digest::SHA256);
    for migration in migrations {
        hash.update(&migration.version.to_be_bytes());
        hash.update(migration.sql.as_bytes());
    }
    let hash: String = hash.finish().as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    let template = format!("template_{service}_{hash}");
    let cell = {
        let mut templates = TEMPLATES.lock().expect("no test panics in here");
        templates.entry(format!("{instance}/{template}")).or_default().clone()
    };
    cell.get_or_init(async || {
        provision(admin, service, &template, Some(PASSWORD)).await.expect("a template database");
        migrate(service, &config(admin, &template), migrations).await.expect("the migrations run");
        template.clone()
    })
    .await;
    let name = format!("{service}_{}", NUMBER.fetch_add(1, Ordering::Relaxed)).replace('-', "_");
    let owner = format!("{}_owner", service.replace('-', "_"));
    let mut connection = PgConnection::connect(&format!("{admin}/postgres")).await.expect("the superuser");
    let statement = format!("create database \"{name}\" owner \"{owner}\" template \"{template}\"");
    // The connection that migrated may still be on its way out of the template.
    for _ in 0..200 {
        match sqlx::raw_sql(AssertSqlSafe(statement.as_str())).execute(&mut connection).await {
            Ok(_) => return config(admin, &name),
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("55006") => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("no database {name}: {error}"),
        }
    }
    panic!("the template {template} is never free")
}

fn config(admin: &str, database: &str) -> DatabaseConfig {
    let place = admin.rsplit('@').next().expect("a host");
    DatabaseConfig {
        url: format!("postgres://{place}/{database}"),
        password: Some(Secret::new(PASSWORD)),
        max_connections: 8,
        acquire_timeout_ms: 10_000,
    }
}
