//! id-08: sessions are 256-bit tokens of which only the hash is stored; they expire, are listed, and are revoked from
//! elsewhere at once; cookie or bearer.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lethe_tests::{Api, PASSWORD, platform, within};
use serde_json::json;
use sqlx::{Connection, PgConnection, Row};

pub(in super::super) async fn id_08_sessions_expire_are_listed_and_revoked_at_once() {
    let platform = platform();
    let tenant = platform.tenant().await;
    let email = format!("owner@{}.example", tenant.slug);
    let here = Api::log_in(&platform.run.url, &tenant.slug, &email, PASSWORD).await;
    let there = Api::log_in(&platform.run.url, &tenant.slug, &email, PASSWORD).await;

    // 256 bits, and the tenant in front.
    let (head, secret) = here.token.rsplit_once('_').expect("a token has parts");
    let (head, secret) = match URL_SAFE_NO_PAD.decode(secret) {
        Ok(bytes) if bytes.len() == 32 => (head.to_owned(), bytes),
        // base64url has `_` in it too: the tenant's 32 hex digits say where the secret begins.
        _ => {
            let at = "lth_s_".len() + 32;
            (here.token[..at].to_owned(), URL_SAFE_NO_PAD.decode(&here.token[at + 1..]).expect("base64url"))
        }
    };
    assert_eq!(secret.len(), 32);
    assert_eq!(head, format!("lth_s_{}", tenant.id.trim_start_matches("ten_")));

    // Only the hash is stored.
    let url = format!("{}/identity", platform.run.admin_url);
    let mut database = PgConnection::connect(&url).await.expect("identity's database");
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &secret);
    let whole = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, here.token.as_bytes());
    let rows =
        sqlx::query("select row_to_json(s)::text as row from sessions s").fetch_all(&mut database).await;
    let rows: Vec<String> = rows.expect("sessions").iter().map(|row| row.get("row")).collect();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(rows.iter().any(|row| row.contains(&hex(hash.as_ref())) || row.contains(&hex(whole.as_ref()))));
    assert!(!rows.iter().any(|row| row.contains(&hex(&secret)) || row.contains(&here.token)));

    // Listed, with the present one marked.
    let listed = here.get("/v1/sessions").await.ok();
    let sessions = listed["sessions"].as_array().expect("a list").clone();
    assert_eq!(sessions.iter().filter(|session| session["current"] == json!(true)).count(), 1);
    let elsewhere = there.get("/v1/sessions").await.ok()["sessions"].as_array().expect("a list").clone();
    let there_id =
        elsewhere.iter().find(|s| s["current"] == json!(true)).expect("its own")["session_id"].clone();
    let there_id = there_id.as_str().expect("an id").to_owned();

    // Revoked from elsewhere: refused everywhere within a second, though its principal was cached a moment ago.
    there.get("/v1/self").await.ok();
    here.delete(&format!("/v1/sessions/{there_id}")).await.ok();
    within(Duration::from_secs(1), "a revoked session is refused", async || {
        there.get("/v1/self").await.problem().0 == 401
    })
    .await;
    here.get("/v1/self").await.ok();

    // A cookie serves as well, HttpOnly; an unsafe method with it needs its origin.
    let log_in = json!({"tenant": tenant.slug, "email": email, "password": PASSWORD});
    let answer = Api::anonymous(&platform.run.url).post("/v1/sessions", log_in).await;
    let cookie = answer.headers["set-cookie"].to_str().expect("text").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    // Secure, but on plain HTTP to loopback, where a browser would not send it back.
    let forwarded = [("x-forwarded-proto", "https")];
    let log_in = json!({"tenant": tenant.slug, "email": email, "password": PASSWORD});
    let behind_tls = Api::anonymous(&platform.run.url);
    let answer = behind_tls.send(reqwest::Method::POST, "/v1/sessions", &forwarded, Some(log_in)).await;
    let secure = answer.headers["set-cookie"].to_str().expect("text");
    assert!(secure.starts_with("__Host-") && secure.contains("Secure"), "{secure}");
    let pair = cookie.split(';').next().expect("a pair").to_owned();
    let by_cookie = Api::anonymous(&platform.run.url);
    let own = by_cookie.send(reqwest::Method::GET, "/v1/self", &[("cookie", &pair)], None).await;
    assert_eq!(own.status, 200);
    let forged =
        [("cookie", pair.as_str()), ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
    let forged = by_cookie.send(reqwest::Method::DELETE, "/v1/sessions/current", &forged, None).await;
    assert_eq!(forged.status, 403);

    // Expired by itself.
    let expires: String =
        sqlx::query_scalar("select min(expires_at)::text from sessions where expires_at > now()")
            .fetch_one(&mut database)
            .await
            .expect("an expiry");
    assert!(!expires.is_empty());
    sqlx::query("update sessions set expires_at = now() - interval '1 second' where session_id = $1")
        .bind(uuid_of(&own_session(&here).await))
        .execute(&mut database)
        .await
        .expect("time passes for one session");
    // The principal that the gateway has may live for its 60 s; then the session is asked for, and is over.
    within(Duration::from_secs(70), "an expired session is refused", async || {
        here.get("/v1/self").await.problem().0 == 401
    })
    .await;
}

async fn own_session(api: &Api) -> String {
    let listed = api.get("/v1/sessions").await.ok();
    let own =
        listed["sessions"].as_array().expect("a list").iter().find(|s| s["current"] == json!(true)).cloned();
    own.expect("its own")["session_id"].as_str().expect("an id").to_owned()
}

fn uuid_of(id: &str) -> uuid::Uuid {
    uuid::Uuid::try_parse(id.rsplit('_').next().expect("hex")).expect("an id")
}
