//! Tenants never meet, whatever statement asks: raw SQL as the service's own roles.

use lethe_proto::identity::{ApiRequest, RecordApiRequestsRequest, RecordedRequest, UseSignatureRequest};
use lethe_service::Database;
use lethe_testkit::{Databases, every_statement_fits};
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

use crate::{
    api_keys,
    audit::tenant_of,
    rig::{Rig, Someone},
};

/// Tables that have no tenant, each with its reason.
const WITHOUT_TENANT: [(&str, &str); 7] = [
    ("slugs", "finds the tenant"),
    ("migrations", "the schema's"),
    ("incarnation", "the database's"),
    ("outbox_slots", "leases"),
    ("outbox_relays", "leases"),
    ("gateway_replicas", "which gateways share the limits"),
    ("stream_positions", "the bus's"),
];

#[tokio::test]
async fn every_table_is_under_forced_row_level_security() {
    let rig = Rig::new().await;
    let mut connection = Databases::superuser(&rig.config.database).await;
    let rows = sqlx::query(
        "select relname::text as name, relrowsecurity and relforcerowsecurity as forced,
                exists (select 1 from pg_attribute where attrelid = c.oid and attname = 'tenant_id') as has_tenant
           from pg_class c join pg_namespace n on n.oid = relnamespace
          where relkind in ('r', 'p') and nspname = 'public'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(rows.len() > 12);
    for row in rows {
        let name: String = row.get("name");
        let excepted = WITHOUT_TENANT.iter().any(|(table, _)| *table == name);
        assert!(
            excepted || (row.get("forced") && row.get("has_tenant")),
            "{name} is not under row-level security"
        );
    }
}

#[tokio::test]
async fn tenant_id_is_first_in_every_key() {
    let rig = Rig::new().await;
    let mut connection = Databases::superuser(&rig.config.database).await;
    let wrong: Vec<String> = sqlx::query_scalar(
        "select i.indexrelid::regclass::text from pg_index i
           join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace
           join pg_attribute t on t.attrelid = c.oid and t.attname = 'tenant_id'
          where n.nspname = 'public' and i.indisunique and i.indkey[0] <> t.attnum and c.relname <> 'slugs'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(wrong, Vec::<String>::new());
}

#[tokio::test]
async fn a_statement_that_forgets_the_tenant_sees_and_writes_its_own_only() {
    let rig = Rig::new().await;
    let (a, b) = (rig.owner("acme").await, rig.owner("other").await);
    for maker in [&a, &b] {
        asked_by_a_key(&rig, maker).await;
    }
    let (a, b) = (tenant_of(&a), tenant_of(&b));
    let db = Database::connect("identity", &rig.config.database).await.unwrap();
    for table in [
        "tenants",
        "members",
        "sessions",
        "log_in_records",
        "revocations",
        "audit_events",
        "fences",
        "idempotency",
        "api_keys",
        "api_requests",
        "used_signatures",
    ] {
        let count =
            format!("select count(*), count(*) filter (where tenant_id <> '{}') from {table}", a.uuid());
        let mut tx = db.tenant(a).await.unwrap();
        let (own, foreign): (i64, i64) =
            sqlx::query_as(AssertSqlSafe(count.clone())).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(foreign, 0, "{table}");
        assert!(own > 0 || matches!(table, "fences" | "idempotency"), "{table} is empty: nothing was shown");
        drop(tx);
        // No tenant set at all: no rows.
        let (all, _): (i64, i64) = sqlx::query_as(AssertSqlSafe(count)).fetch_one(db.app()).await.unwrap();
        assert_eq!(all, 0, "{table} without a tenant");
    }
    let mut tx = db.tenant(a).await.unwrap();
    let forged =
        sqlx::query("insert into revocations (tenant_id, revocation_id, revoked_at_ms) values ($1, $2, 0)")
            .bind(b.uuid())
            .bind(Uuid::from_u128(1))
            .execute(&mut *tx)
            .await;
    assert!(forged.unwrap_err().to_string().contains("row-level security"));
    let mut tx = db.tenant(a).await.unwrap();
    let touched = sqlx::query("update members set active = false where tenant_id = $1")
        .bind(b.uuid())
        .execute(&mut *tx)
        .await
        .unwrap();
    assert_eq!(touched.rows_affected(), 0);
}

#[tokio::test]
async fn the_audit_log_and_fences_are_append_only_for_the_service_itself() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let db = Database::connect("identity", &rig.config.database).await.unwrap();
    for statement in [
        "delete from audit_events",
        "update audit_events set actor_id = 'nobody'",
        "update audit_events set leaf_hash = salt",
        "update audit_events set at = now()",
        "truncate audit_events",
        "delete from fences",
        "update fences set census = ''",
    ] {
        let mut tx = db.tenant(tenant_of(&owner)).await.unwrap();
        let refused = sqlx::query(statement).execute(&mut *tx).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{statement}: {refused}");
    }
}

#[tokio::test]
async fn the_jobs_role_sees_what_is_due_and_no_content() {
    let rig = Rig::new().await;
    rig.owner("acme").await;
    let db = Database::connect("identity", &rig.config.database).await.unwrap();
    for statement in [
        "select profile from members",
        "select token_hash from sessions",
        "select client from log_in_records",
        "select actor_id from audit_events",
        "delete from sessions",
    ] {
        let refused = sqlx::query(statement).execute(db.jobs()).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{statement}: {refused}");
    }
    let sessions: i64 =
        sqlx::query_scalar("select count(tenant_id) from sessions").fetch_one(db.jobs()).await.unwrap();
    assert_eq!(sessions, 1);
    let refused = sqlx::query("delete from members").execute(db.verify()).await.unwrap_err();
    assert!(refused.to_string().contains("permission denied"));
}

#[tokio::test]
async fn every_statement_fits_the_schema() {
    let database = Databases::fresh("identity", &lethe_identity::migrations()).await;
    every_statement_fits(env!("CARGO_MANIFEST_DIR"), &database, 40).await;
}

/// A key that signed a change which was recorded.
async fn asked_by_a_key(rig: &Rig, maker: &Someone) {
    let (key, _) = api_keys::key(rig, maker).await;
    let tenant_id = tenant_of(maker).to_string();
    let signature = vec![1; 32].into();
    let used =
        UseSignatureRequest { tenant_id: tenant_id.clone(), api_key_id: key.api_key_id.clone(), signature };
    api_keys::client(rig, None).use_signature(used).await.unwrap();
    let request = ApiRequest {
        request_id: Uuid::from_u128(1).to_string(),
        api_key_id: key.api_key_id,
        at: key.created_at,
        status: 200,
        ..Default::default()
    };
    let requests = vec![RecordedRequest { tenant_id, request: Some(request) }];
    api_keys::client(rig, None).record_api_requests(RecordApiRequestsRequest { requests }).await.unwrap();
}
