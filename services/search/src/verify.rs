//! The verifier, which disbelieves the eraser and shares no code with it. It goes by the census and by the catalogue:
//! reads the terms, columns and stored fields of every segment on disk, deleted documents included, and as the verify
//! role every table that has a column about a person.

use lethe_ids::{ContactId, ScopeId, TenantId};
use lethe_service::Database;
use sqlx::{AssertSqlSafe, Row};

use crate::{
    census::Census,
    engine::{Engine, Scanned, Wanted},
    erase::{Reach, Scope},
    error::Error,
};

/// What was looked for and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Ids of the census, and the contact's own ones.
    pub(crate) looked_for: u64,
    /// In the engine's files.
    pub(crate) index: Scanned,
    /// Rows that the census counted.
    pub(crate) rows_looked_for: u64,
    /// Rows that are there, over all tables about a person.
    pub(crate) rows: u64,
}

/// Looks for everything of the census.
pub(crate) async fn verify_absent(
    db: &Database,
    engine: &dyn Engine,
    scope: &Scope,
    key: &[u8; 32],
) -> Result<Verified, Error> {
    let (seat, contacts) = (scope.seat(), scope.contacts().collect::<Vec<_>>());
    let named = contacts.len() as u64;
    let sealed = sealed_census(db, seat.tenant, seat.scope).await?.ok_or(Error::NotFenced)?;
    let census = Census::open(key, seat, &sealed)?;
    let counted = census.messages.len() as u64;
    let (looked_for, wanted) = match &scope.reach {
        Reach::Everything => (
            counted + named,
            Wanted { contacts: contacts.clone(), messages: census.messages, conversations: vec![] },
        ),
        // The messages are somebody else's now: no document, not even a deleted one, may name this contact.
        Reach::ContactOnly => (counted + named, Wanted { contacts: contacts.clone(), ..Wanted::default() }),
        Reach::Part(conversations) => (
            counted + conversations.len() as u64,
            Wanted { contacts: vec![], messages: census.messages, conversations: conversations.clone() },
        ),
    };
    let index = engine.scan(seat.tenant, wanted).await?;
    let rows = match scope.reach {
        Reach::Everything | Reach::ContactOnly => rows_about(db, seat.tenant, &contacts).await?,
        // The contact lives on, and so does what is known of its changes.
        Reach::Part(_) => 0,
    };
    Ok(Verified { looked_for, index, rows_looked_for: census.progress_rows, rows })
}

async fn sealed_census(db: &Database, tenant: TenantId, scope: ScopeId) -> Result<Option<Vec<u8>>, Error> {
    let census: Option<Option<Vec<u8>>> =
        sqlx::query_scalar("select census from fences where tenant_id = $1 and scope_id = $2")
            .bind(tenant.uuid())
            .bind(scope.uuid())
            .fetch_optional(db.verify())
            .await?;
    Ok(census.flatten())
}

/// Rows of every table that has a column of the type `contact_id`, as the catalogue lists them.
async fn rows_about(db: &Database, tenant: TenantId, contacts: &[ContactId]) -> Result<u64, Error> {
    let columns = sqlx::query(
        "select quote_ident(c.relname), quote_ident(a.attname)
           from pg_class c join pg_attribute a on a.attrelid = c.oid join pg_type t on t.oid = a.atttypid
          where t.typname = 'contact_id' and c.relkind in ('r', 'p') and not c.relispartition
            and c.relnamespace = current_schema()::regnamespace and a.attnum > 0 and not a.attisdropped",
    )
    .fetch_all(db.verify())
    .await?;
    let contacts: Vec<_> = contacts.iter().map(|contact| contact.uuid()).collect();
    let mut tx = db.verify_tenant(tenant).await?;
    let mut rows = 0;
    for column in columns {
        let (table, column): (String, String) = (column.try_get(0)?, column.try_get(1)?);
        // Safe: both names are the catalogue's own, quoted by it.
        let statement = format!("select count(*) from {table} where tenant_id = $1 and {column} = any($2)");
        let found: i64 = sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(tenant.uuid())
            .bind(&contacts)
            .fetch_one(&mut *tx)
            .await?;
        rows += found.unsigned_abs();
    }
    Ok(rows)
}
