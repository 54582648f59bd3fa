//! Which index this database is about.

use lethe_service::Database;
use uuid::Uuid;

/// The id of the index that was open last.
pub(crate) async fn read(db: &Database) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar("select id from index_identity").fetch_optional(db.jobs()).await
}

/// From now on it is this one.
pub(crate) async fn write(db: &Database, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into index_identity (id) values ($1) on conflict (one) do update set id = excluded.id",
    )
    .bind(id)
    .execute(db.jobs())
    .await?;
    Ok(())
}
