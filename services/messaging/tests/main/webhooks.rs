//! Webhooks: an event goes to each endpoint once, secrets and old rows go, and an erased person is in none of them.

use std::time::Duration;

use lethe_messaging::{Config, WebhooksConfig};
use lethe_proto::{
    erasure::Attestation,
    messaging::{
        CreateWebhookEndpointRequest, DeleteWebhookEndpointRequest, GetWebhookEndpointRequest,
        ListWebhookDeliveriesRequest, ReplayWebhookDeliveryRequest, RotateWebhookSecretRequest,
        TestWebhookEndpointRequest, UpdateWebhookEndpointRequest, WebhookDelivery, WebhookDeliveryState,
        WebhookEndpoint, WebhookEndpointState, WebhookEventType,
        webhook_service_client::WebhookServiceClient,
    },
    request::Idempotency,
};
use lethe_service::PeerChannel;
use lethe_testkit::Receiver;
use tonic::Status;

use crate::stage::{Stage, field, page, reason, uuid_of};

/// Long enough for a machine with much else to do.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) async fn stage(change: impl FnOnce(&mut WebhooksConfig)) -> Stage {
    Stage::with(|config: &mut Config| {
        config.webhooks.allow_http = true;
        config.webhooks.ports = Vec::new();
        config.webhooks.allowed_networks = vec!["127.0.0.2/32".parse().unwrap()];
        config.webhooks.poll_ms = 20;
        config.webhooks.sweep_interval_s = 1;
        change(&mut config.webhooks);
    })
    .await
}

pub(crate) fn hooks(stage: &Stage) -> WebhookServiceClient<PeerChannel> {
    WebhookServiceClient::new(stage.channel())
}

async fn try_create(
    stage: &Stage,
    url: &str,
    key: Option<&str>,
) -> Result<(WebhookEndpoint, String), Status> {
    let request = CreateWebhookEndpointRequest {
        url: url.to_owned(),
        event_types: vec![WebhookEventType::MessageChanged.into(), WebhookEventType::ContactChanged.into()],
        description: "CRM".to_owned(),
        idempotency: key.map(|key| Idempotency { key: key.to_owned() }),
    };
    let made = hooks(stage).create_webhook_endpoint(request).await?.into_inner();
    Ok((made.endpoint.unwrap(), made.secret))
}

pub(crate) async fn create(stage: &Stage, url: &str) -> WebhookEndpoint {
    try_create(stage, url, None).await.unwrap().0
}

pub(crate) async fn get(stage: &Stage, endpoint: &WebhookEndpoint) -> Result<WebhookEndpoint, Status> {
    let request = GetWebhookEndpointRequest { endpoint_id: endpoint.endpoint_id.clone() };
    Ok(hooks(stage).get_webhook_endpoint(request).await?.into_inner())
}

pub(crate) async fn deliveries(stage: &Stage, state: WebhookDeliveryState) -> Vec<WebhookDelivery> {
    let request = ListWebhookDeliveriesRequest {
        page: page(200, bytes::Bytes::new()),
        state: state.into(),
        ..ListWebhookDeliveriesRequest::default()
    };
    hooks(stage).list_webhook_deliveries(request).await.unwrap().into_inner().deliveries
}

pub(crate) async fn test(stage: &Stage, endpoint: &WebhookEndpoint) -> WebhookDelivery {
    let request = TestWebhookEndpointRequest { endpoint_id: endpoint.endpoint_id.clone(), idempotency: None };
    hooks(stage).test_webhook_endpoint(request).await.unwrap().into_inner()
}

pub(crate) async fn replay(stage: &Stage, delivery: &WebhookDelivery) -> Result<WebhookDelivery, Status> {
    let request = ReplayWebhookDeliveryRequest { delivery_id: delivery.delivery_id.clone() };
    Ok(hooks(stage).replay_webhook_delivery(request).await?.into_inner())
}

/// Waits until it is so. Nothing here waits for a time to pass: the clock of the service is the test's.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(LIMIT, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "not true that {what}");
}

/// Lets time pass until it is so: an endpoint at which nothing arrives rests for some seconds after each turn.
pub(crate) async fn passes_until(
    stage: &mut Stage,
    what: &str,
    mut condition: impl AsyncFnMut(&Stage) -> bool,
) {
    for _ in 0..300 {
        if condition(stage).await {
            return;
        }
        stage.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not true that {what}");
}

pub(crate) async fn count(stage: &Stage, table: &'static str) -> i64 {
    let statement = match table {
        "webhook_endpoints" => "select count(*) from webhook_endpoints",
        "webhook_secrets" => "select count(*) from webhook_secrets",
        "webhook_deliveries" => "select count(*) from webhook_deliveries",
        _ => "select count(*) from recipients",
    };
    sqlx::query_scalar(statement).fetch_one(&mut stage.superuser().await).await.unwrap()
}

#[tokio::test]
async fn an_event_that_comes_twice_is_sent_once() {
    let mut stage = stage(|_| {}).await;
    let receiver = Receiver::start(|_, _| 200).await;
    let endpoint = create(&stage, &receiver.url("/")).await;
    let contact = stage.contact("Ada").await;
    until("the contact's event is delivered", async || {
        deliveries(&stage, WebhookDeliveryState::Delivered).await.len() == 1
    })
    .await;
    let conversation = stage.open(&contact).await;
    stage.receive(&conversation, "hello").await;
    until("the message's event is delivered", async || {
        deliveries(&stage, WebhookDeliveryState::Delivered).await.len() == 2
    })
    .await;
    // The bus forgets everything: all events are published once more, on a new stream, to a consumer that begins anew.
    let mut db = stage.superuser().await;
    stage.world.nats.wipe().await;
    until("everything was published again", async || {
        let left = "select count(*) from outbox where stream_no is distinct from 2";
        sqlx::query_scalar::<_, i64>(left).fetch_one(&mut db).await.unwrap() == 0
    })
    .await;
    // Of one contact, so this one comes after all of those.
    stage.receive(&conversation, "are you there?").await;
    until("the last event is delivered", async || {
        deliveries(&stage, WebhookDeliveryState::Delivered).await.len() >= 3
    })
    .await;
    let ids: Vec<_> = receiver.received().iter().map(|one| one.headers["webhook-id"].clone()).collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 3, "{ids:?}");
    // Whom the events were about, and to whom they went, is known once.
    let known: Vec<(String, String)> =
        sqlx::query_as("select contact_id::text, endpoint_id::text from recipients")
            .fetch_all(&mut db)
            .await
            .unwrap();
    assert_eq!(
        known,
        [(uuid_of(&contact.contact_id).to_string(), uuid_of(&endpoint.endpoint_id).to_string())]
    );
}

#[tokio::test]
async fn what_does_not_arrive_comes_again_by_the_schedule_and_then_the_endpoint_is_switched_off() {
    let mut stage = stage(|config| config.backoff_s = vec![60, 3_600]).await;
    let receiver = Receiver::start(|_, _| 500).await;
    let endpoint = create(&stage, &receiver.url("/")).await;
    test(&stage, &endpoint).await;
    for (attempt, wait) in [(1, 70), (2, 4_000), (3, 0)] {
        passes_until(&mut stage, "it was tried", async |stage| {
            let of = [WebhookDeliveryState::Pending, WebhookDeliveryState::Failed];
            let mut all = deliveries(stage, of[0]).await;
            all.extend(deliveries(stage, of[1]).await);
            all.iter().any(|one| one.attempts == attempt && one.last_failure == "NOT_2XX")
        })
        .await;
        assert_eq!(receiver.received().len(), attempt as usize, "not before its time");
        stage.advance(Duration::from_secs(wait));
    }
    assert_eq!(deliveries(&stage, WebhookDeliveryState::Failed).await.len(), 1, "the schedule is at its end");
    assert!(get(&stage, &endpoint).await.unwrap().failing_since.is_some());
    stage.advance(Duration::from_secs(3 * 86_400));
    test(&stage, &endpoint).await;
    until("it is switched off", async || {
        get(&stage, &endpoint).await.unwrap().state == WebhookEndpointState::Failing as i32
    })
    .await;
    // What happens now is not queued for it.
    let before = count(&stage, "webhook_deliveries").await;
    let other = Receiver::start(|_, _| 200).await;
    create(&stage, &other.url("/")).await;
    stage.contact("Ada").await;
    until("the other one hears of it", async || other.received().len() == 1).await;
    assert_eq!(count(&stage, "webhook_deliveries").await, before + 1);
}

#[tokio::test]
async fn a_slow_receiver_keeps_nobody_waiting() {
    let stage = stage(|config| config.timeout_ms = 20_000).await;
    // It answers nothing at all.
    let silent = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
    let slow = create(&stage, &format!("http://{}/", silent.local_addr().unwrap())).await;
    for _ in 0..8 {
        test(&stage, &slow).await;
    }
    let (_held, _) = silent.accept().await.unwrap();
    let receiver = Receiver::start(|_, _| 200).await;
    let quick = create(&stage, &receiver.url("/")).await;
    let begun = std::time::Instant::now();
    test(&stage, &quick).await;
    until("the quick one has it", async || receiver.received().len() == 1).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_is_deleted_retired_or_old_is_swept_away() {
    let mut stage = stage(|_| {}).await;
    let receiver = Receiver::start(|_, _| 200).await;
    let endpoint = create(&stage, &receiver.url("/")).await;
    let rotate = |version| RotateWebhookSecretRequest {
        endpoint_id: endpoint.endpoint_id.clone(),
        if_version: version,
    };
    hooks(&stage).rotate_webhook_secret(rotate(1)).await.unwrap();
    assert_eq!(count(&stage, "webhook_secrets").await, 2);
    test(&stage, &endpoint).await;
    until("two signatures came", async || {
        receiver.received().iter().any(|one| one.headers["webhook-signature"].split(' ').count() == 2)
    })
    .await;
    stage.advance(Duration::from_secs(25 * 3_600));
    until("the old secret is gone", async || count(&stage, "webhook_secrets").await == 1).await;
    let secrets = "select count(*) from secrets";
    let mut keystore = lethe_testkit::Databases::superuser(&stage.keystore).await;
    // The endpoint's own, its profile's, and the signing secret's.
    assert_eq!(sqlx::query_scalar::<_, i64>(secrets).fetch_one(&mut keystore).await.unwrap(), 3);
    test(&stage, &endpoint).await;
    until("one signature came", async || {
        receiver.received().last().unwrap().headers["webhook-signature"].split(' ').count() == 1
    })
    .await;
    assert_eq!(count(&stage, "webhook_deliveries").await, 2);
    stage.advance(Duration::from_secs(31 * 86_400));
    until("old deliveries are gone", async || count(&stage, "webhook_deliveries").await == 0).await;

    let delete = |version| DeleteWebhookEndpointRequest {
        endpoint_id: endpoint.endpoint_id.clone(),
        if_version: version,
    };
    let refused = hooks(&stage).delete_webhook_endpoint(delete(1)).await.unwrap_err();
    assert_eq!(reason(&refused), "VERSION_MISMATCH");
    // A deletion that was cut off after its first step.
    let mut db = stage.superuser().await;
    sqlx::query("update webhook_endpoints set state = 6").execute(&mut db).await.unwrap();
    assert_eq!(reason(&get(&stage, &endpoint).await.unwrap_err()), "WEBHOOK_ENDPOINT_NOT_FOUND");
    until("it is gone", async || count(&stage, "webhook_endpoints").await == 0).await;
    assert_eq!(count(&stage, "webhook_secrets").await, 0);
    assert_eq!(sqlx::query_scalar::<_, i64>(secrets).fetch_one(&mut keystore).await.unwrap(), 0);
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_deleted_keeps_no_other_and_no_old_delivery() {
    let mut stage = stage(|_| {}).await;
    let receiver = Receiver::start(|_, _| 200).await;
    let (bad, good) =
        (create(&stage, &receiver.url("/bad")).await, create(&stage, &receiver.url("/good")).await);
    test(&stage, &bad).await;
    until("it is delivered", async || deliveries(&stage, WebhookDeliveryState::Delivered).await.len() == 1)
        .await;
    let mut db = stage.superuser().await;
    sqlx::raw_sql(
        "create table damaged as select endpoint_id from webhook_endpoints order by endpoint_id limit 1;
         create function refuse() returns trigger language plpgsql security definer as $$ begin
           if old.endpoint_id in (select endpoint_id from damaged) then raise 'damaged'; end if;
           return old;
         end; $$;
         create trigger refuse before delete on webhook_endpoints for each row execute function refuse();
         update webhook_endpoints set state = 6;",
    )
    .execute(&mut db)
    .await
    .unwrap();
    until("the other is deleted", async || count(&stage, "webhook_endpoints").await == 1).await;
    stage.advance(Duration::from_secs(31 * 86_400));
    until("old deliveries are gone", async || count(&stage, "webhook_deliveries").await == 0).await;
    assert_eq!(reason(&get(&stage, &good).await.unwrap_err()), "WEBHOOK_ENDPOINT_NOT_FOUND");
    sqlx::raw_sql("truncate damaged").execute(&mut db).await.unwrap();
    until("it is deleted too", async || count(&stage, "webhook_endpoints").await == 0).await;
}

#[tokio::test]
async fn an_erased_person_is_in_no_delivery_and_no_event_of_hers_goes_out() {
    let mut stage = stage(|config| config.backoff_s = vec![86_400]).await;
    let receiver = Receiver::start(|_, _| 503).await;
    create(&stage, &receiver.url("/")).await;
    let (ada, bob) = (stage.contact("Ada").await, stage.contact("Bob").await);
    passes_until(&mut stage, "both were tried", async |_| receiver.received().len() == 2).await;
    assert_eq!((count(&stage, "webhook_deliveries").await, count(&stage, "recipients").await), (2, 2));
    let scope = stage.scope(&ada);
    let fenced = stage.fence(&scope).await;
    let counted: Vec<_> = fenced.tallies.iter().map(|tally| (tally.kind.as_str(), tally.count)).collect();
    assert!(
        counted.contains(&("webhook_deliveries", 1)) && counted.contains(&("recipients", 1)),
        "{counted:?}"
    );
    let listed = deliveries(&stage, WebhookDeliveryState::Unspecified).await;
    let of: Vec<_> = listed.iter().map(|one| (one.event_type(), one.contact_id.as_str())).collect();
    // The notice of her erasure, which says to us nothing of whose it is.
    let wanted =
        [(WebhookEventType::ContactErased, ""), (WebhookEventType::ContactChanged, &*bob.contact_id)];
    assert_eq!(of, wanted);
    stage.purge(&scope).await;
    let findings = stage.verify(&scope).await;
    assert!(findings.iter().all(|finding| finding.found == 0), "{findings:?}");
    assert_eq!((count(&stage, "webhook_deliveries").await, count(&stage, "recipients").await), (2, 1));
}

#[tokio::test]
async fn an_endpoint_is_made_once_and_only_so_many_are() {
    let stage = stage(|config| config.most_endpoints = 2).await;
    let (one, secret) = try_create(&stage, "https://hooks.example.org/a", Some("k")).await.unwrap();
    assert!(secret.starts_with("whsec_"));
    let (again, nothing) = try_create(&stage, "https://hooks.example.org/a", Some("k")).await.unwrap();
    assert_eq!((again, nothing.as_str()), (one.clone(), ""));
    let other = try_create(&stage, "https://hooks.example.org/b", Some("k")).await.unwrap_err();
    assert_eq!(reason(&other), "IDEMPOTENCY_KEY_REUSED");
    create(&stage, "https://hooks.example.org/b").await;
    let third = try_create(&stage, "https://hooks.example.org/c", None).await.unwrap_err();
    assert_eq!(reason(&third), "TOO_MANY_WEBHOOK_ENDPOINTS");
    let update = |url: &str| UpdateWebhookEndpointRequest {
        endpoint_id: one.endpoint_id.clone(),
        url: Some(url.to_owned()),
        if_version: 1,
        ..UpdateWebhookEndpointRequest::default()
    };
    let moved =
        hooks(&stage).update_webhook_endpoint(update("https://elsewhere.example.org/")).await.unwrap_err();
    assert_eq!(field(&moved), "url");
    let beside = hooks(&stage).update_webhook_endpoint(update("https://hooks.example.org/z")).await.unwrap();
    assert_eq!(beside.into_inner().url, "https://hooks.example.org/z");
    let delete = DeleteWebhookEndpointRequest { endpoint_id: one.endpoint_id.clone(), if_version: 2 };
    hooks(&stage).delete_webhook_endpoint(delete).await.unwrap();
    let gone = try_create(&stage, "https://hooks.example.org/a", Some("k")).await.unwrap_err();
    assert_eq!(reason(&gone), "WEBHOOK_ENDPOINT_GONE");
}

#[tokio::test]
async fn whoever_heard_of_an_erased_person_is_told_after_the_purge_and_until_it_answers() {
    let mut stage = stage(|config| config.backoff_s = vec![60, 3_600]).await;
    let receiver =
        Receiver::start(|one, _| if one.body.contains("contact.erased") { 503 } else { 200 }).await;
    let (told, gone) = (create(&stage, &receiver.url("/a")).await, create(&stage, &receiver.url("/b")).await);
    let contact = stage.contact("Ada").await;
    until("both have heard of her", async || receiver.received().len() == 2).await;
    let late = create(&stage, &receiver.url("/c")).await;
    let delete = DeleteWebhookEndpointRequest { endpoint_id: gone.endpoint_id.clone(), if_version: 1 };
    hooks(&stage).delete_webhook_endpoint(delete).await.unwrap();
    // Switched off, it is told all the same.
    let off = UpdateWebhookEndpointRequest {
        endpoint_id: told.endpoint_id.clone(),
        enabled: Some(false),
        if_version: 1,
        ..UpdateWebhookEndpointRequest::default()
    };
    hooks(&stage).update_webhook_endpoint(off).await.unwrap();
    let scope = stage.scope(&contact);
    stage.fence(&scope).await;
    stage.fence(&scope).await;
    test(&stage, &late).await;
    until("the test came", async || receiver.received().len() == 3).await;
    let due =
        "select count(*) from webhook_deliveries where scope_id is not null and next_attempt_at is not null";
    assert_eq!(sqlx::query_scalar::<_, i64>(due).fetch_one(&mut stage.superuser().await).await.unwrap(), 0);
    assert!(
        receiver.received().iter().all(|one| !one.body.contains("contact.erased")),
        "not before the purge"
    );
    for _ in 0..2 {
        stage.purge(&scope).await;
    }
    stage.advance(Duration::from_secs(31));
    let notices = || {
        receiver.received().into_iter().filter(|one| one.body.contains("contact.erased")).collect::<Vec<_>>()
    };
    until("it is told", async || notices().len() == 1).await;
    assert!(notices()[0].path == "/a" && notices()[0].body.contains(&contact.contact_id));
    let of_recipients = async |stage: &Stage| {
        let findings = stage.verify(&scope).await;
        let told = findings.into_iter().filter(|finding| finding.attestation() == Attestation::Told);
        told.map(|finding| (finding.code, finding.looked_for, finding.until.is_some())).collect::<Vec<_>>()
    };
    let not_reached = ("RECIPIENTS_NOT_REACHED".to_owned(), 1, false);
    until("one is being told", async || {
        of_recipients(&stage).await == [("RECIPIENTS_BEING_TOLD".to_owned(), 1, true), not_reached.clone()]
    })
    .await;
    for (count, wait) in [(2, 70), (3, 4_000)] {
        stage.advance(Duration::from_secs(wait));
        passes_until(&mut stage, "it is told again", async |_| notices().len() == count).await;
    }
    until("it is given up", async || {
        of_recipients(&stage).await == [("RECIPIENTS_NOT_REACHED".to_owned(), 2, false)]
    })
    .await;
    let listed = deliveries(&stage, WebhookDeliveryState::Failed).await;
    assert!(listed.iter().all(|one| one.contact_id.is_empty()), "{listed:?}");
    assert_eq!(count(&stage, "recipients").await, 0);
}
