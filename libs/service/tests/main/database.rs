//! Row-level security, the roles, migrations and provisioning.

use std::time::Duration;

use lethe_ids::TenantId;
use lethe_service::{
    BASE_MIGRATION, Database, DatabaseConfig, DatabaseError, Failure, Migration, migrate, provision,
};
use lethe_testkit::{Databases, Proxy, servers};
use sqlx::Row;
use tonic::Code;
use uuid::Uuid;

const NOTES: Migration = Migration {
    version: 100,
    name: "notes",
    sql: "create table notes (tenant_id uuid not null, id uuid not null, contact contact_id, text text, due timestamptz,
            primary key (tenant_id, id));
          call protect('notes');
          call protect_due('notes', array['tenant_id', 'id', 'due'])",
};

fn tenant(number: u128) -> TenantId {
    TenantId::new(Uuid::from_u128(number))
}

async fn database() -> (Database, DatabaseConfig) {
    let config = Databases::fresh("shell", &[NOTES]).await;
    (Database::connect("shell", &config).await.unwrap(), config)
}

async fn write(database: &Database, whose: TenantId, row: TenantId) -> Result<(), sqlx::Error> {
    let mut tx = database.tenant(whose).await?;
    sqlx::query("insert into notes (tenant_id, id, contact, text) values ($1, $2, $2, 'secret')")
        .bind(row.uuid())
        .bind(Uuid::from_u128(7))
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

async fn count(database: &Database, whose: TenantId) -> i64 {
    let mut tx = database.tenant(whose).await.unwrap();
    sqlx::query("select count(*) from notes").fetch_one(&mut *tx).await.unwrap().get(0)
}

fn code(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}

const DENIED: &str = "42501";

#[tokio::test]
async fn a_tenant_sees_and_writes_its_own_rows_only() {
    let (database, _) = database().await;
    write(&database, tenant(1), tenant(1)).await.unwrap();
    assert_eq!(count(&database, tenant(1)).await, 1);
    assert_eq!(count(&database, tenant(2)).await, 0);
    let refused = write(&database, tenant(2), tenant(1)).await.unwrap_err();
    assert_eq!(code(&refused), DENIED);
    let mut tx = database.tenant(tenant(2)).await.unwrap();
    let touched = sqlx::query("update notes set text = 'mine'").execute(&mut *tx).await.unwrap();
    assert_eq!(touched.rows_affected(), 0);
}

#[tokio::test]
async fn the_tenant_is_gone_after_the_transaction_however_it_ended() {
    let (_, mut config) = database().await;
    config.max_connections = 1;
    let database = Database::connect("shell", &config).await.unwrap();
    write(&database, tenant(1), tenant(1)).await.unwrap();
    drop(database.tenant(tenant(1)).await.unwrap());
    // The one connection of the pool: the same that had the tenant before.
    let row = sqlx::query("select current_setting('app.tenant', true), (select count(*) from notes)")
        .fetch_one(database.app())
        .await
        .unwrap();
    assert_eq!(row.get::<Option<String>, _>(0).unwrap_or_default(), "");
    assert_eq!(row.get::<i64, _>(1), 0);
}

#[tokio::test]
async fn a_dropped_transaction_wrote_nothing() {
    let (database, _) = database().await;
    let mut tx = database.tenant(tenant(1)).await.unwrap();
    sqlx::query("insert into notes (tenant_id, id) values ($1, $1)")
        .bind(tenant(1).uuid())
        .execute(&mut *tx)
        .await
        .unwrap();
    drop(tx);
    assert_eq!(count(&database, tenant(1)).await, 0);
}

#[tokio::test]
async fn a_caller_who_goes_away_while_it_begins_leaves_no_transaction_open() {
    let (_, mut config) = database().await;
    config.max_connections = 1;
    let database = Database::connect("shell", &config).await.unwrap();
    let mut superuser = Databases::superuser(&config).await;
    for micros in (0..3_000).step_by(20) {
        let begun = tokio::time::timeout(Duration::from_micros(micros), database.tenant(tenant(1))).await;
        drop(begun);
        // What the next one writes by a statement alone must be committed with it.
        sqlx::query("select 1").execute(database.app()).await.unwrap();
        let open: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity
              where datname = current_database() and usename = 'shell_app' and state like 'idle in transaction%'",
        )
        .fetch_one(&mut superuser)
        .await
        .unwrap();
        assert_eq!(open, 0, "a transaction that nobody holds, after {micros} µs");
    }
}

#[tokio::test]
async fn a_connection_that_broke_while_it_lay_still_is_not_handed_out() {
    let (_, mut config) = database().await;
    config.max_connections = 1;
    let database = Database::connect("shell", &config).await.unwrap();
    assert_eq!(count(&database, tenant(1)).await, 0);
    let mut superuser = Databases::superuser(&config).await;
    let ended = sqlx::query(
        "select pg_terminate_backend(pid), pg_sleep(0.25) from pg_stat_activity
         where datname = current_database() and usename = 'shell_app'",
    );
    assert_eq!(ended.fetch_all(&mut superuser).await.unwrap().len(), 1);
    assert_eq!(count(&database, tenant(1)).await, 0);
}

#[tokio::test]
async fn row_level_security_is_forced_on_the_owner_too() {
    let (database, config) = database().await;
    write(&database, tenant(1), tenant(1)).await.unwrap();
    let place = config.url.strip_prefix("postgres://").unwrap();
    let password = config.password.as_ref().unwrap().expose();
    let owner = sqlx::PgPool::connect(&format!("postgres://shell_owner:{password}@{place}")).await.unwrap();
    let seen: i64 = sqlx::query("select count(*) from notes").fetch_one(&owner).await.unwrap().get(0);
    assert_eq!(seen, 0);
}

#[tokio::test]
async fn the_verify_role_reads_all_and_writes_nothing() {
    let (database, _) = database().await;
    write(&database, tenant(1), tenant(1)).await.unwrap();
    let seen: i64 =
        sqlx::query("select count(*) from notes").fetch_one(database.verify()).await.unwrap().get(0);
    assert_eq!(seen, 1);
    let refused = sqlx::query("delete from notes").execute(database.verify()).await.unwrap_err();
    assert_eq!(code(&refused), DENIED);
    let mut tx = database.verify_tenant(tenant(1)).await.unwrap();
    let refused = sqlx::query("create temporary table mine (id int)").execute(&mut *tx).await.unwrap_err();
    assert_eq!(code(&refused), "25006", "the transaction is read-only");
}

#[tokio::test]
async fn the_jobs_role_sees_the_given_columns_only() {
    let (database, _) = database().await;
    write(&database, tenant(1), tenant(1)).await.unwrap();
    let row = sqlx::query("select tenant_id, id, due from notes").fetch_one(database.jobs()).await.unwrap();
    assert_eq!(row.get::<Uuid, _>(0), tenant(1).uuid());
    for statement in ["select text from notes", "select * from notes", "delete from notes"] {
        let refused = sqlx::query(statement).execute(database.jobs()).await.unwrap_err();
        assert_eq!(code(&refused), DENIED, "{statement}");
    }
}

#[tokio::test]
async fn migrating_twice_and_at_once_is_as_once() {
    // Another service, whose roles are there.
    Databases::fresh("shell", &[NOTES]).await;
    let admin = servers().await.admin_url();
    let provisioned = (0..4).map(|_| provision(&admin, "twice", "twice", Some("secret")));
    for outcome in futures::future::join_all(provisioned).await {
        outcome.unwrap();
    }
    let place = admin.rsplit('@').next().unwrap();
    let config = DatabaseConfig {
        url: format!("postgres://{place}/twice"),
        password: Some(lethe_service::Secret::new("secret")),
        max_connections: 2,
        acquire_timeout_ms: 5_000,
    };
    let migrated = (0..4).map(|_| migrate("twice", &config, &[NOTES]));
    for outcome in futures::future::join_all(migrated).await {
        outcome.unwrap();
    }
    let mut superuser = Databases::superuser(&config).await;
    let versions = sqlx::query("select version from migrations order by version")
        .fetch_all(&mut superuser)
        .await
        .unwrap();
    let versions: Vec<i64> = versions.iter().map(|row| row.get(0)).collect();
    assert_eq!(versions, [BASE_MIGRATION.version, NOTES.version]);
    for kind in ["owner", "app", "jobs", "verify"] {
        let role = sqlx::query(
            "select rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication from pg_roles where rolname = $1",
        )
        .bind(format!("twice_{kind}"))
        .fetch_one(&mut superuser)
        .await
        .unwrap();
        assert!(!role.get::<bool, _>(0), "twice_{kind} may too much");
    }
    let open = sqlx::query("select has_database_privilege('shell_app', 'twice', 'connect')")
        .fetch_one(&mut superuser)
        .await
        .unwrap()
        .get::<bool, _>(0);
    assert!(!open, "another service may not even connect");
}

#[tokio::test]
async fn a_failed_migration_leaves_nothing_and_an_edited_one_is_refused() {
    let config = Databases::fresh("shell", &[NOTES]).await;
    let broken = Migration { version: 101, name: "broken", sql: "create table half (id int); select 1/0" };
    let error = migrate("shell", &config, &[NOTES, broken]).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Migration { version: 101, .. }), "{error:?}");
    let mut superuser = Databases::superuser(&config).await;
    let half = sqlx::query("select to_regclass('half') is null").fetch_one(&mut superuser).await.unwrap();
    assert!(half.get::<bool, _>(0));
    let edited = Migration { sql: "select 1", ..NOTES };
    let error = migrate("shell", &config, &[edited]).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Edited { version: 100, .. }), "{error:?}");
    let twins = [NOTES, Migration { name: "twin", ..NOTES }];
    let error = migrate("shell", &config, &twins).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Order { version: 100, .. }), "{error:?}");
}

#[tokio::test]
async fn a_database_that_is_away_is_unavailable_and_a_defect_is_internal() {
    let (database, mut config) = database().await;
    let defect = sqlx::query("select nothing from nowhere").execute(database.app()).await.unwrap_err();
    assert_eq!(Failure::from(defect).code, Code::Internal);
    let mut tx = database.tenant(tenant(1)).await.unwrap();
    sqlx::query("set local statement_timeout = '10ms'").execute(&mut *tx).await.unwrap();
    let slow = sqlx::query("select pg_sleep(30)").execute(&mut *tx).await.unwrap_err();
    assert_eq!(Failure::from(slow).reason, "DATABASE_UNAVAILABLE");
    config.url = "postgres://127.0.0.1:1/nowhere".to_owned();
    config.acquire_timeout_ms = 200;
    let away = Database::connect("shell", &config).await.unwrap();
    let failure = Failure::from(away.tenant(tenant(1)).await.unwrap_err());
    assert_eq!((failure.code, &*failure.reason), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
    assert!((away.probe("postgres").check)().await.is_err());
    assert!((database.probe("postgres").check)().await.is_ok());
}

/// The machine of a database loses its power: nobody is told. What waited for it was given up by its own deadline.
#[tokio::test]
async fn a_database_that_fell_silent_keeps_no_connection_once_it_is_back() {
    let (_, mut config) = database().await;
    let (before, name) = config.url.rsplit_once('/').unwrap();
    let (scheme, port) = before.rsplit_once(':').unwrap();
    let proxy = Proxy::before(port.parse().unwrap()).await;
    assert!(scheme.starts_with("postgres://"), "{scheme}");
    config.url = format!("postgres://{}/{name}", proxy.address());
    config.acquire_timeout_ms = 3_000;
    let database = Database::connect("shell", &config).await.unwrap();
    let size = config.max_connections as usize;
    let mut open = Vec::new();
    for _ in 0..size {
        open.push(database.tenant(tenant(1)).await.unwrap());
    }
    proxy.fall_silent();
    let asked = open.into_iter().map(|mut tx| async move {
        let asked = sqlx::query("select 1").execute(&mut *tx);
        tokio::time::timeout(Duration::from_millis(100), asked).await.is_err()
    });
    assert_eq!(futures::future::join_all(asked).await, vec![true; size], "nobody answers");
    // Connections made before stay silent for ever; new ones get through.
    proxy.mend();
    tokio::time::timeout(Duration::from_secs(5), write(&database, tenant(1), tenant(1)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(count(&database, tenant(1)).await, 1);
}
