//! Tenants never meet: raw SQL as each service's own role, and the catalogue read for tables that nothing protects.

use lethe_tests::{Platform, Talk, platform};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

/// Tables without a tenant, each with the reason.
const WITHOUT_TENANT: [(&str, &str); 10] = [
    ("migrations", "which migrations have run"),
    ("slugs", "log-in finds its tenant here"),
    ("outbox_slots", "leases of the relay"),
    ("outbox_relays", "which relays there are"),
    ("gateway_replicas", "which gateways share the limits"),
    ("stream_positions", "how far the bus has come"),
    ("incarnation", "one number of the database"),
    ("epochs", "epoch keys are the platform's"),
    ("index_identity", "which index folder belongs to the database"),
    ("shard_leases", "shards of the index hold many tenants"),
];

const SERVICES: [&str; 4] = ["identity", "messaging", "search", "retention"];
const WITH_KEYSTORE: [&str; 3] = ["identity", "messaging", "retention"];

/// Every database of the platform as (name for messages, service, superuser's URL).
fn databases(platform: &Platform) -> Vec<(String, &'static str, String)> {
    let main = SERVICES.map(|s| (s.to_owned(), s, format!("{}/{s}", platform.run.admin_url)));
    let keys = WITH_KEYSTORE
        .map(|s| (format!("{s} (keystore)"), s, format!("{}/{s}", platform.run.keystore_admin_url)));
    main.into_iter().chain(keys).collect()
}

/// The same database, as one of the service's roles.
async fn as_role(platform: &Platform, url: &str, role: &str) -> PgConnection {
    let password =
        std::fs::read_to_string(platform.folder.join("secrets/databases")).expect("the roles' password");
    let host = url.split_once('@').expect("a URL with a user").1;
    let url = format!("postgres://{role}:{}@{host}", password.trim());
    PgConnection::connect(&url).await.expect("the role may log in")
}

async fn tables(admin: &mut PgConnection) -> Vec<(String, bool, bool)> {
    let statement = "select c.relname::text, c.relrowsecurity and c.relforcerowsecurity,
            exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p') and n.nspname = 'public' order by 1";
    let rows = sqlx::query(statement).fetch_all(admin).await.expect("the catalogue");
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

#[tokio::test]
async fn every_table_has_a_tenant_and_forced_row_level_security() {
    let platform = platform();
    let mut open = Vec::new();
    for (name, _, url) in databases(platform) {
        let mut admin = PgConnection::connect(&url).await.expect("a database");
        let tables = tables(&mut admin).await;
        assert!(tables.len() > 3, "{name} has tables");
        for (table, forced, has_tenant) in tables {
            let excused = WITHOUT_TENANT.iter().any(|(excused, _)| *excused == table);
            if !(excused || (has_tenant && forced)) {
                open.push(format!("{name}: {table}"));
            }
        }
    }
    assert!(open.is_empty(), "no tenant, or no forced row-level security: {open:?}");
}

#[tokio::test]
async fn the_tenant_leads_every_key() {
    let statement = "select c.relname || '.' || i.relname
        from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class c on c.oid = x.indrelid
        join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attnum = x.indkey[0]
        where n.nspname = 'public' and x.indisunique and a.attname <> 'tenant_id' and c.relname <> 'slugs'
          and exists (select from pg_attribute t where t.attrelid = c.oid and t.attname = 'tenant_id')";
    for (name, _, url) in databases(platform()) {
        let mut admin = PgConnection::connect(&url).await.expect("a database");
        let keys: Vec<String> =
            sqlx::query_scalar(statement).fetch_all(&mut admin).await.expect("the catalogue");
        assert!(keys.is_empty(), "{name}: {keys:?}");
    }
}

#[tokio::test]
async fn a_services_role_sees_nothing_without_a_tenant_and_only_its_own_with_one() {
    let platform = platform();
    let (one, other) = (platform.tenant().await, platform.tenant().await);
    for tenant in [&one, &other] {
        let talk = Talk::begin(&tenant.owner, "live_chat").await;
        talk.receive("hello").await.ok();
    }
    let mut seen = 0;
    for (name, service, url) in databases(platform) {
        let mut admin = PgConnection::connect(&url).await.expect("a database");
        let mut app = as_role(platform, &url, &format!("{service}_app")).await;
        for (table, _, has_tenant) in tables(&mut admin).await {
            // Partitions of the outbox are reached through their parent alone.
            let may: bool = sqlx::query_scalar("select has_table_privilege(current_user, $1, 'select')")
                .bind(&table)
                .fetch_one(&mut app)
                .await
                .expect("a privilege");
            if !has_tenant || !may || WITHOUT_TENANT.iter().any(|(excused, _)| *excused == table) {
                continue;
            }
            let count = format!("select count(*) from \"{table}\"");
            let bare: i64 =
                sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut app).await.expect("a count");
            assert_eq!(bare, 0, "{name}: {table} shows rows without a tenant");
            let mut inside = app.begin().await.expect("a transaction");
            let tenant = uuid::Uuid::try_parse(one.id.trim_start_matches("ten_")).expect("an id");
            let set = sqlx::query("select set_config('app.tenant', $1, true)").bind(tenant.to_string());
            set.execute(&mut *inside).await.expect("the setting");
            let foreign =
                format!("select count(*) filter (where tenant_id <> $1), count(*) from \"{table}\"");
            let row = sqlx::query(AssertSqlSafe(foreign))
                .bind(tenant)
                .fetch_one(&mut *inside)
                .await
                .expect("counts");
            assert_eq!(row.get::<i64, _>(0), 0, "{name}: {table} shows another tenant's rows");
            seen += row.get::<i64, _>(1);
            inside.rollback().await.expect("a rollback");
        }
    }
    assert!(seen > 5, "the tenant's own rows are seen");
}

#[tokio::test]
async fn foreign_ids_are_not_found_by_any_route() {
    let platform = platform();
    let (one, other) = (platform.tenant().await, platform.tenant().await);
    let talk = Talk::begin(&one.owner, "live_chat").await;
    let message = talk.receive("hello").await.ok()["message_id"].as_str().expect("an id").to_owned();
    for path in [
        format!("/v1/contacts/{}", talk.contact),
        format!("/v1/contacts/{}/consents", talk.contact),
        format!("/v1/conversations/{}", talk.conversation),
        format!("/v1/conversations/{}/messages", talk.conversation),
        format!("/v1/messages/{message}"),
    ] {
        one.owner.get(&path).await.ok();
        assert_eq!(other.owner.get(&path).await.problem().0, 404, "{path}");
    }
    let erasure =
        other.owner.create("/v1/erasures", "k", serde_json::json!({"contact_id": talk.contact})).await;
    assert_eq!(erasure.problem().0, 404);
}

#[tokio::test]
async fn the_verifiers_role_can_only_read() {
    let platform = platform();
    for (name, service, url) in databases(platform) {
        let mut verify = as_role(platform, &url, &format!("{service}_verify")).await;
        let statement = "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = 'public' and c.relkind in ('r', 'p')
              and (has_table_privilege(c.oid, 'insert') or has_table_privilege(c.oid, 'update') or has_table_privilege(c.oid, 'delete'))";
        let writable: Vec<String> =
            sqlx::query_scalar(statement).fetch_all(&mut verify).await.expect("the catalogue");
        assert!(writable.is_empty(), "{name}: {writable:?}");
    }
}
