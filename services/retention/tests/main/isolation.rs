//! Raw SQL as each of the service's roles, and the catalogue.

use lethe_ids::TenantId;
use lethe_retention::NAME;
use lethe_service::Database;
use lethe_testkit::{Databases, every_statement_fits};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::fixture::Fixture;

const TABLES: [&str; 6] =
    ["erasures", "erasure_participants", "erasure_steps", "certificates", "idempotency_keys", "fences"];

#[tokio::test]
async fn one_tenant_sees_nothing_of_another() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.confirmed().await;
    fixture.run(id).await;
    let contact = fixture.contact();
    fixture.request(contact, "open").await.unwrap();
    let stranger = TenantId::new(Uuid::from_u128(99));
    for table in TABLES {
        let count = || AssertSqlSafe(format!("select count(*) from {table}"));
        let mut own = fixture.saga.db.tenant(fixture.tenant).await.unwrap();
        let rows: i64 = sqlx::query_scalar(count()).fetch_one(&mut *own).await.unwrap();
        assert!(rows > 0, "{table} has rows of the tenant");
        let mut foreign = fixture.saga.db.tenant(stranger).await.unwrap();
        let rows: i64 = sqlx::query_scalar(count()).fetch_one(&mut *foreign).await.unwrap();
        assert_eq!(rows, 0, "{table}");
        let rows: i64 = sqlx::query_scalar(count()).fetch_one(fixture.saga.db.app()).await.unwrap();
        assert_eq!(rows, 0, "{table} without a tenant");
        let delete = AssertSqlSafe(format!("delete from {table} where tenant_id = $1"));
        let gone = sqlx::query(delete).bind(fixture.tenant.uuid()).execute(&mut *foreign).await.unwrap();
        assert_eq!(gone.rows_affected(), 0, "{table}");
    }
    let mut foreign = fixture.saga.db.tenant(stranger).await.unwrap();
    let smuggled = sqlx::query("insert into fences (tenant_id, contact_id) values ($1, $2)")
        .bind(fixture.tenant.uuid())
        .bind(contact.uuid())
        .execute(&mut *foreign)
        .await;
    assert!(smuggled.is_err(), "a row of another tenant");
}

#[tokio::test]
async fn the_jobs_role_sees_what_is_due_and_the_verifier_changes_nothing() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.confirmed().await;
    let db: &Database = &fixture.saga.db;
    assert_eq!(fixture.saga.due().await.unwrap(), [(fixture.tenant, id)]);
    for refused in [
        "select contact_id from erasures",
        "select state from erasures",
        "select count(*) from erasure_steps",
        "select count(*) from fences",
        "select count(*) from certificates",
        "update erasures set next_attempt_at = null",
        "delete from erasures",
    ] {
        let answer = sqlx::query(refused).execute(db.jobs()).await;
        let error = answer.expect_err(refused);
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("42501"), "{refused}");
    }
    for table in TABLES {
        sqlx::query(AssertSqlSafe(format!("select count(*) from {table}")))
            .execute(db.verify())
            .await
            .unwrap();
        let delete = sqlx::query(AssertSqlSafe(format!("delete from {table}"))).execute(db.verify()).await;
        assert_eq!(delete.unwrap_err().as_database_error().unwrap().code().as_deref(), Some("42501"));
    }
}

#[tokio::test]
async fn every_table_of_a_tenant_forces_row_level_security_and_leads_with_it() {
    let fixture = Fixture::new().await;
    let mut db = fixture.superuser().await;
    let open: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_class c
         join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
           and not (c.relrowsecurity and c.relforcerowsecurity) and c.relname <> 'inbox'",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    assert_eq!(open, [""; 0]);
    let keys: Vec<String> = sqlx::query_scalar(
        "select i.indexrelid::regclass::text from pg_index i
         join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
         where i.indisunique and i.indrelid::regclass::text = any($1) and a.attname <> 'tenant_id'",
    )
    .bind(TABLES.as_slice())
    .fetch_all(&mut db)
    .await
    .unwrap();
    assert_eq!(keys, [""; 0], "unique indexes that do not begin with the tenant");
    assert_eq!(fixture.saga.db.service(), NAME);
}

#[tokio::test]
async fn every_statement_fits_the_schema() {
    let database = Databases::fresh("retention", &lethe_retention::migrations()).await;
    every_statement_fits(env!("CARGO_MANIFEST_DIR"), &database, 30).await;
}
