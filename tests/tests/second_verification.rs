//! A day after its certificate an erasure is verified again by every service, and certified a second time; then the key of
//! the census is destroyed. On a platform of its own, because its clock is moved.

use std::time::Duration;

use lethe::dev::{self, Dev, Options};
use lethe_ambient::Clock;
use lethe_servers::Durability;
use lethe_tests::{Api, PASSWORD, Talk, erase, within};
use serde_json::json;
use sqlx::{Connection, PgConnection};

/// Sessions end after twelve idle hours: the next day begins with a new one.
const A_DAY: Duration = Duration::from_secs(24 * 3_600 + 60);

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_verified_and_certified_again_a_day_later() {
    let root = tempfile::tempdir().expect("a folder");
    let clock = Clock::shifted();
    let options = Options {
        durability: Durability::Fast,
        clock: clock.clone(),
        ..Options::new(root.path().join("lethe"), 0)
    };
    let dev = Box::pin(Dev::start(options, |_| {})).await.expect("the platform starts");
    let file = root.path().join("lethe/lethe.toml");
    let (slug, email) = ("second", "owner@second.example");
    let (_, first_password) = dev::create_tenant(&file, slug, email).await.expect("a tenant");
    let owner = Api::log_in_first(&dev.run.url, slug, email, &first_password).await;
    let talk = Talk::begin(&owner, "live_chat").await;
    talk.receive("forget me").await.ok();
    let path = erase(&owner, &talk.contact).await;
    let state = async |api: &Api, wanted: &str| api.get(&path).await.ok()["state"] == json!(wanted);
    let first = owner.get(&format!("{path}/certificate")).await.ok();

    clock.advance(A_DAY);
    let owner = Api::log_in(&dev.run.url, slug, email, PASSWORD).await;
    within(Duration::from_secs(60), "verified again", async || state(&owner, "re_verified").await).await;
    let second = owner.get(&format!("{path}/certificate")).await.ok();
    assert_ne!(first, second);
    let keys = owner.get("/.well-known/lethe-keys.json").await.ok().to_string();
    for (certificate, sequence) in [(first, 1), (second, 2)] {
        let envelope = certificate.to_string();
        let statement =
            lethe_retention::certificate::verify(envelope.as_bytes(), keys.as_bytes()).expect("it holds");
        assert_eq!(statement.sequence, sequence);
    }
    // What the erasure listed opens no more: its key is destroyed.
    let keystore = format!("{}/retention", dev.run.keystore_admin_url);
    let mut keystore = PgConnection::connect(&keystore).await.expect("the keystore");
    let left: i64 =
        sqlx::query_scalar("select count(*) from secrets").fetch_one(&mut keystore).await.expect("a count");
    assert_eq!(left, 0);
    keystore.close().await.expect("closed");
    Box::pin(dev.stop()).await.expect("it stops in order");
}
