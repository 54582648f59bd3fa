//! id-02: passwords are Argon2id with a salt of their own; a hash made by bcrypt elsewhere verifies, and is upgraded at
//! log-in.

use lethe_tests::{Api, PASSWORD, platform};
use serde_json::json;
use sqlx::{Connection, PgConnection};

/// Python's bcrypt made it of "correct horse".
const BCRYPT: &str = "$2b$05$Flnd.Cd3p1/tXdF28SzYjuts0hz5X/kMKIWXuyn6AYRvJih45H7HS";

pub(in super::super) async fn id_02_passwords_are_argon2id_and_bcrypt_from_elsewhere_is_upgraded() {
    let platform = platform();
    let (one, other) = (platform.tenant().await, platform.tenant().await);
    let url = format!("{}/identity", platform.run.admin_url);
    let mut database = PgConnection::connect(&url).await.expect("identity's database");
    let mut hashes = async |tenant: &str| -> Vec<String> {
        let tenant: lethe_ids::TenantId = tenant.parse().expect("an id");
        sqlx::query_scalar("select password_hash from members where tenant_id = $1 order by member_id")
            .bind(tenant.uuid())
            .fetch_all(&mut database)
            .await
            .expect("hashes")
    };

    // The same password twice: RFC 9106's algorithm at OWASP's cost, and a salt of its own each time.
    let (mine, theirs) = (hashes(&one.id).await, hashes(&other.id).await);
    assert!(mine[0].starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", mine[0]);
    let salt = |hash: &str| hash.split('$').nth(4).expect("a salt").to_owned();
    assert_eq!(salt(&mine[0]).len(), 22, "128 bits");
    assert_ne!(salt(&mine[0]), salt(&theirs[0]));
    assert!(!mine[0].contains(PASSWORD));

    let email = format!("ada@{}.example", one.slug);
    let ada = json!({"name": "Ada", "email": email, "roles": ["agent"], "bcrypt_hash": BCRYPT});
    let made = one.owner.create("/v1/members", "ada", ada).await.ok();
    assert_eq!(made["one_time_password"], json!(null));
    assert!(hashes(&one.id).await.contains(&BCRYPT.to_owned()));
    let ada = Api::log_in(&platform.run.url, &one.slug, &email, "correct horse").await;
    assert_eq!(ada.get("/v1/self").await.ok()["roles"], json!(["agent"]));
    assert!(hashes(&one.id).await.iter().all(|hash| hash.starts_with("$argon2id$")));
    Api::log_in(&platform.run.url, &one.slug, &email, "correct horse").await;
    let wrong = json!({"tenant": one.slug, "email": email, "password": "wrong horse"});
    assert_eq!(Api::anonymous(&platform.run.url).post("/v1/sessions", wrong).await.status.as_u16(), 401);
}
