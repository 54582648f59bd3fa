//! Roles and database of a service, made by a superuser of the instance. Twice is as once, at the same time too.

use std::str::FromStr;

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgConnectOptions};

use super::{DatabaseError, prefix};

/// The roles of a service, by the end of their name.
const KINDS: [&str; 4] = ["owner", "app", "jobs", "verify"];

/// Makes `<service>_owner`, `_app`, `_jobs` and `_verify`, none of which passes row-level security or may create
/// roles, and a database that only they may enter. An existing password is replaced by `password`, if one is given.
/// `admin_url` is a superuser's; where it names no database, `postgres` is entered.
///
/// # Errors
/// [`DatabaseError::Url`] and [`DatabaseError::Sql`].
pub async fn provision(
    admin_url: &str,
    service: &str,
    database: &str,
    password: Option<&str>,
) -> Result<(), DatabaseError> {
    let mut options = PgConnectOptions::from_str(admin_url)
        .map_err(|source| DatabaseError::Url { service: service.to_owned(), source })?;
    if options.get_database().is_none() {
        options = options.database("postgres");
    }
    let sql = |source| DatabaseError::Sql { service: service.to_owned(), source };
    let mut connection = PgConnection::connect_with(&options).await.map_err(sql)?;
    let outcome = run(&mut connection, service, database, password).await.map_err(sql);
    connection.close().await.map_err(sql)?;
    outcome
}

async fn run(
    connection: &mut PgConnection,
    service: &str,
    database: &str,
    password: Option<&str>,
) -> Result<(), sqlx::Error> {
    // Held until the connection closes; locks of this kind are per database, so all come by the same admin URL.
    sqlx::query("select pg_advisory_lock(hashtext('lethe provision'))").execute(&mut *connection).await?;
    for kind in KINDS {
        let role = format!("{}_{kind}", prefix(service));
        let there = sqlx::query("select 1 from pg_roles where rolname = $1")
            .bind(&role)
            .fetch_optional(&mut *connection)
            .await?;
        let verb = if there.is_some() { "alter role %I" } else { "create role %I" };
        let rights = "login nosuperuser nocreatedb nocreaterole noreplication nobypassrls noinherit";
        statement(connection, &format!("{verb} {rights}"), &[&role]).await?;
        if let Some(password) = password {
            statement(connection, "alter role %I password %L", &[&role, password]).await?;
        }
    }
    let owner = format!("{}_owner", prefix(service));
    let there = sqlx::query("select 1 from pg_database where datname = $1")
        .bind(database)
        .fetch_optional(&mut *connection)
        .await?;
    if there.is_none() {
        statement(connection, "create database %I owner %I template template0", &[database, &owner]).await?;
    }
    statement(connection, "revoke all on database %I from public", &[database]).await?;
    for kind in &KINDS[1..] {
        let role = format!("{}_{kind}", prefix(service));
        statement(connection, "grant connect on database %I to %I", &[database, &role]).await?;
    }
    Ok(())
}

/// Runs a statement of the catalogue, whose names PostgreSQL itself quotes.
async fn statement(connection: &mut PgConnection, pattern: &str, names: &[&str]) -> Result<(), sqlx::Error> {
    let quoted: String = sqlx::query("select format($1, variadic $2::text[])")
        .bind(pattern)
        .bind(names)
        .fetch_one(&mut *connection)
        .await?
        .get(0);
    sqlx::raw_sql(AssertSqlSafe(quoted)).execute(&mut *connection).await?;
    Ok(())
}
