//! Migrations: each in a transaction of its own, in the order of their numbers, once. What ran is written down with
//! its SHA-256, and an edited one is refused. Two that migrate at once wait for each other.

use aws_lc_rs::digest;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::{DatabaseConfig, DatabaseError, role};

/// One step of a schema. Versions: 1 is [`BASE_MIGRATION`], 2 to 9 are libraries', a service's own begin at 100.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its place in the order.
    pub version: i64,
    /// What it brings.
    pub name: &'static str,
    /// The statements, without a transaction of their own.
    pub sql: &'static str,
}

/// Version 1 of every database: id types, `protect` and `protect_due` (`sql/base.sql`).
pub const BASE_MIGRATION: Migration =
    Migration { version: 1, name: "base", sql: include_str!("../../sql/base.sql") };

/// Brings a database to the newest schema, as `<service>_owner`. Twice is as once.
///
/// # Errors
/// [`DatabaseError`]; what ran before the failing migration stays.
pub async fn migrate(
    service: &str,
    config: &DatabaseConfig,
    migrations: &[Migration],
) -> Result<(), DatabaseError> {
    let mut steps = migrations.to_vec();
    if !steps.iter().any(|step| step.version == BASE_MIGRATION.version) {
        steps.push(BASE_MIGRATION);
    }
    steps.sort_by_key(|step| step.version);
    if let Some(twins) = steps.windows(2).find(|pair| pair[0].version == pair[1].version) {
        return Err(DatabaseError::Order { service: service.to_owned(), version: twins[1].version });
    }
    let sql = |source| DatabaseError::Sql { service: service.to_owned(), source };
    let mut connection = PgConnection::connect_with(&role(service, "owner", config)?).await.map_err(sql)?;
    // Held until the connection closes.
    sqlx::query("select pg_advisory_lock(hashtext('lethe migrate'))")
        .execute(&mut connection)
        .await
        .map_err(sql)?;
    let outcome = apply(service, &mut connection, &steps).await;
    connection.close().await.map_err(sql)?;
    outcome
}

async fn apply(
    service: &str,
    connection: &mut PgConnection,
    steps: &[Migration],
) -> Result<(), DatabaseError> {
    let sql = |source| DatabaseError::Sql { service: service.to_owned(), source };
    sqlx::raw_sql(
        "set client_min_messages = warning;
         create table if not exists migrations (
           version bigint primary key, name text not null, checksum bytea not null,
           applied_at timestamptz not null default clock_timestamp())",
    )
    .execute(&mut *connection)
    .await
    .map_err(sql)?;
    let rows = sqlx::query("select version, checksum from migrations")
        .fetch_all(&mut *connection)
        .await
        .map_err(sql)?;
    for step in steps {
        let checksum = digest::digest(&digest::SHA256, step.sql.as_bytes());
        let applied = rows.iter().find(|row| row.get::<i64, _>("version") == step.version);
        match applied.map(|row| row.get::<Vec<u8>, _>("checksum")) {
            Some(known) if known == checksum.as_ref() => continue,
            Some(_) => {
                return Err(DatabaseError::Edited {
                    service: service.to_owned(),
                    version: step.version,
                    name: step.name,
                });
            }
            None => {}
        }
        one(connection, step, checksum.as_ref()).await.map_err(|source| DatabaseError::Migration {
            service: service.to_owned(),
            version: step.version,
            name: step.name,
            source,
        })?;
        tracing::info!(service, version = step.version, name = step.name, "migrated");
    }
    Ok(())
}

async fn one(connection: &mut PgConnection, step: &Migration, checksum: &[u8]) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(AssertSqlSafe(step.sql)).execute(&mut *transaction).await?;
    sqlx::query("insert into migrations (version, name, checksum) values ($1, $2, $3)")
        .bind(step.version)
        .bind(step.name)
        .bind(checksum)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}
