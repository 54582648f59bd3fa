//! Every consumer is handed its input twice: all events of a tenant are published a second time, by their outbox, and
//! nothing is there twice afterwards.

use std::{collections::BTreeSet, fs, time::Duration};

use async_nats::jetstream::{self, consumer::PullConsumer};
use futures::TryStreamExt;
use lethe_ids::TenantId;
use lethe_tests::{Platform, Talk, Tenant, platform, within};
use serde_json::json;
use sqlx::{Connection, PgConnection};

/// Who publishes.
const AREAS: [&str; 3] = ["messaging", "retention", "search"];
/// The consumers that there are. A new one is added here when it is known to bear everything twice.
const CONSUMERS: [&str; 3] = ["identity_audit", "messaging_webhooks", "search-index"];

#[tokio::test(flavor = "multi_thread")]
async fn every_consumer_bears_all_of_its_events_twice() {
    let platform = platform();
    let tenant = Box::pin(platform.tenant()).await;
    let talk = Talk::begin(&tenant.owner, "live_chat").await;
    let word = format!("zq{}", platform.nonce());
    for _ in 0..5 {
        talk.receive(&format!("It is about {word} again.")).await.ok();
    }
    let requested =
        tenant.owner.create("/v1/erasures", &word, json!({"contact_id": talk.contact})).await.ok();
    let cancel =
        format!("/v1/erasures/{}/cancel", requested["erasure"]["erasure_id"].as_str().expect("an id"));
    tenant.owner.post(&cancel, json!({})).await.ok();

    let bus = bus(platform).await;
    caught_up(&bus, platform, &tenant).await;
    let (hits, rows) = (found(&tenant, &word).await, audit_rows(platform, &tenant).await);
    assert_eq!(hits, 5);
    assert!(rows >= 2, "{rows} audit events of others");
    let before = published(&bus, &tenant).await;
    assert!(before >= 7, "{before} events");

    // Older than the bus remembers ids, so that it takes them again.
    within(Duration::from_secs(30), "all events were published again", async || {
        for area in AREAS {
            let mut superuser = database(platform, area).await;
            sqlx::query("update outbox set stream_no = null, stream_seq = null where tenant_id = $1")
                .bind(id(&tenant).uuid())
                .execute(&mut superuser)
                .await
                .expect("marks are taken");
        }
        caught_up(&bus, platform, &tenant).await;
        published(&bus, &tenant).await >= 2 * before
    })
    .await;
    assert_eq!((found(&tenant, &word).await, audit_rows(platform, &tenant).await), (hits, rows));
    for area in ["identity", "search"] {
        let dead: i64 = sqlx::query_scalar("select count(*) from dead_letters where tenant_id = $1")
            .bind(id(&tenant).uuid())
            .fetch_one(&mut database(platform, area).await)
            .await
            .expect("a number");
        assert_eq!(dead, 0, "{area}");
    }
}

fn id(tenant: &Tenant) -> TenantId {
    tenant.id.parse().expect("a tenant's id")
}

async fn database(platform: &Platform, service: &str) -> PgConnection {
    PgConnection::connect(&format!("{}/{service}", platform.run.admin_url)).await.expect("a database")
}

/// The bus, as whoever has its password.
async fn bus(platform: &Platform) -> jetstream::Context {
    let config = fs::read_to_string(platform.folder.join("lethe.toml")).expect("a configuration");
    let line = config.lines().find(|line| line.contains("nats://")).expect("where NATS is");
    let url = line.split('"').nth(1).expect("a URL");
    let password = fs::read_to_string(platform.folder.join("secrets/nats")).expect("a password");
    let options = async_nats::ConnectOptions::new().user_and_password("lethe".to_owned(), password);
    jetstream::new(options.connect(url).await.expect("NATS answers"))
}

/// How often events of this tenant were published.
async fn published(bus: &jetstream::Context, tenant: &Tenant) -> u64 {
    let subjects = format!("lethe.evt.*.*.*.v1.{}", id(tenant).uuid().simple());
    let mut published = 0;
    for area in AREAS {
        let stream = bus.get_stream(lethe_outbox::stream_name(area)).await.expect("a stream");
        let mut counts = stream.info_with_subjects(&subjects).await.expect("its subjects");
        while let Some((_, count)) = counts.try_next().await.expect("a subject") {
            published += count as u64;
        }
    }
    published
}

/// Waits until all events of the tenant are published, and every consumer has acknowledged all that was in its stream.
async fn caught_up(bus: &jetstream::Context, platform: &Platform, tenant: &Tenant) {
    let mut names = BTreeSet::new();
    for area in AREAS {
        let mut superuser = database(platform, area).await;
        within(Duration::from_secs(30), "all is published", async || {
            let unsent: i64 =
                sqlx::query_scalar("select count(*) from outbox where tenant_id = $1 and stream_seq is null")
                    .bind(id(tenant).uuid())
                    .fetch_one(&mut superuser)
                    .await
                    .expect("a number");
            unsent == 0
        })
        .await;
        let stream = bus.get_stream(lethe_outbox::stream_name(area)).await.expect("a stream");
        let last = stream.cached_info().state.last_sequence;
        let consumers: Vec<String> = stream.consumer_names().try_collect().await.expect("its consumers");
        for name in consumers {
            let mut consumer: PullConsumer = stream.get_consumer(&name).await.expect("a consumer");
            within(Duration::from_secs(30), "the consumer has all", async || {
                let info = consumer.info().await.expect("how far it is");
                let idle = info.num_pending == 0 && info.num_ack_pending == 0;
                idle || info.ack_floor.stream_sequence >= last
            })
            .await;
            names.insert(name);
        }
    }
    assert_eq!(names, CONSUMERS.map(str::to_owned).into());
}

async fn found(tenant: &Tenant, word: &str) -> usize {
    let answer = tenant.owner.post("/v1/search/messages", json!({"query": word})).await.ok();
    answer["hits"].as_array().map_or(0, Vec::len)
}

/// Audit events that reached identity from other services.
async fn audit_rows(platform: &Platform, tenant: &Tenant) -> i64 {
    sqlx::query_scalar("select count(*) from audit_events where tenant_id = $1 and service <> 'identity'")
        .bind(id(tenant).uuid())
        .fetch_one(&mut database(platform, "identity").await)
        .await
        .expect("a number")
}
