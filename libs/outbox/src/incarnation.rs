//! The incarnation of a service's data. Versions are ordered by (incarnation, sequence): a restore rewinds the
//! sequences and raises the incarnation, so that what it says is not taken for old news.

use lethe_service::Database;

/// The incarnation of this database: 1 until a restore raises it.
///
/// # Errors
/// When PostgreSQL does not answer.
pub async fn incarnation(db: &Database) -> Result<u32, sqlx::Error> {
    let value: i32 = sqlx::query_scalar("select value from incarnation").fetch_one(db.jobs()).await?;
    Ok(value.unsigned_abs())
}

/// Raises the incarnation by one, as a restore does before the services start, and answers the new one.
///
/// # Errors
/// When PostgreSQL does not answer.
pub async fn raise_incarnation(db: &Database) -> Result<u32, sqlx::Error> {
    let value: i32 = sqlx::query_scalar("update incarnation set value = value + 1 returning value")
        .fetch_one(db.jobs())
        .await?;
    Ok(value.unsigned_abs())
}
