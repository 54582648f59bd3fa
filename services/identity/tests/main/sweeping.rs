//! What is kept no longer goes by itself, and one tenant's trouble is not the others'.

use std::time::Duration;

use lethe_identity::jobs::{sweep_api_keys, sweep_expired};
use lethe_ids::TenantId;
use lethe_testkit::Databases;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::rig::Rig;

/// Refuses to delete a tenant's rows of a table.
async fn refuse(database: &mut PgConnection, table: &str, tenant: TenantId) {
    let statement = format!(
        "create or replace function refuse() returns trigger language plpgsql as
           $$ begin raise exception 'a bad row'; end $$;
         create or replace trigger refuse before delete on {table} for each row
           when (old.tenant_id = '{}') execute function refuse()",
        tenant.uuid()
    );
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(database).await.unwrap();
}

async fn rows(database: &mut PgConnection, table: &str, tenant: TenantId) -> i64 {
    let statement = format!("select count(*) from {table} where tenant_id = $1");
    let count = sqlx::query_scalar(AssertSqlSafe(statement)).bind(tenant.uuid());
    count.fetch_one(database).await.unwrap()
}

#[tokio::test]
async fn a_tenant_that_cannot_be_swept_keeps_no_other_waiting() {
    let rig = Rig::new().await;
    let mut tenants = Vec::new();
    for slug in ["one", "two"] {
        let owner = rig.owner(slug).await;
        tenants
            .push(rig.world.access.of("identity").verify_principal(&owner.principal).await.unwrap().tenant);
    }
    let mut database = Databases::superuser(&rig.config.database).await;
    rig.world.clock.advance(Duration::from_secs(400 * 86_400));
    // Whichever of the two comes first: each is once the one that fails.
    for (bad, good) in [(tenants[0], tenants[1]), (tenants[1], tenants[0])] {
        for tenant in [bad, good] {
            for statement in [
                "insert into log_in_records (tenant_id, log_in_record_id, member_id, at, method, succeeded, client)
                 select tenant_id, gen_random_uuid(), member_id, '2020-01-01', 'password', true, ''
                   from members where tenant_id = $1",
                "insert into api_requests (tenant_id, request_id, api_key_id, at, method, route, rpc, status)
                 values ($1, gen_random_uuid(), gen_random_uuid(), '2020-01-01', 'GET', '/v1/x', 'X', 200)",
            ] {
                sqlx::query(statement).bind(tenant.uuid()).execute(&mut database).await.unwrap();
            }
        }
        refuse(&mut database, "log_in_records", bad).await;
        refuse(&mut database, "api_requests", bad).await;
        sweep_expired::round(&rig.identity).await.unwrap();
        sweep_api_keys::round(&rig.identity).await.unwrap();
        for table in ["log_in_records", "api_requests"] {
            assert_eq!(rows(&mut database, table, good).await, 0, "{table}");
            assert!(rows(&mut database, table, bad).await > 0, "{table}");
        }
        assert!(sweep_expired::round(&rig.identity).await.is_err(), "where nothing else is left it is said");
        assert!(sweep_api_keys::round(&rig.identity).await.is_err());
    }
}

#[tokio::test]
async fn how_often_an_event_was_tried_is_forgotten_after_a_week() {
    let rig = Rig::new().await;
    let mut database = Databases::superuser(&rig.config.database).await;
    for days in [6, 8] {
        sqlx::query(
            "insert into tries (tenant_id, consumer, event_id, tries, begun_at)
             values (gen_random_uuid(), 'identity', gen_random_uuid(), 1, now() - $1 * interval '1 day')",
        )
        .bind(f64::from(days))
        .execute(&mut database)
        .await
        .unwrap();
    }
    sweep_expired::round(&rig.identity).await.unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from tries").fetch_one(&mut database).await.unwrap();
    assert_eq!(left, 1);
}
