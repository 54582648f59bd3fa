//! Limits, readiness and the drain.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lethe_proto::search::search_service_client::SearchServiceClient;
use lethe_service::{Env, Failure, Probe, ServerConfig};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::stage::{Stage, question};

fn reason(status: &tonic::Status) -> String {
    Failure::from_status(status).reason.into_owned()
}

#[tokio::test]
async fn one_call_too_many_is_shed_with_a_time_to_try_again() {
    let stage = Stage::with_config(vec![], &config(4, 10_000)).await;
    let context = stage.context();
    let waiting = (0..4).map(|_| {
        let mut client = stage.client(&context);
        async move { client.search_messages(question("wait")).await }
    });
    let waiting = tokio::spawn(futures::future::join_all(waiting.collect::<Vec<_>>()));
    while stage.seen.contexts.lock().unwrap().len() < 4 {
        stage.seen.arrived.notified().await;
    }
    let status = stage.client(&context).search_messages(question("look")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "TOO_MANY_CALLS"));
    assert!(Failure::from_status(&status).retry_after.is_some());
    stage.seen.gate.notify_waiters();
    assert!(waiting.await.unwrap().into_iter().all(|answer| answer.is_ok()));
    stage.client(&context).search_messages(question("look")).await.unwrap();
}

#[tokio::test]
async fn a_drain_refuses_what_is_new_and_finishes_what_runs() {
    let stage = Stage::set().await;
    let peers = stage.network().await;
    let context = stage.context();
    let mut running = SearchServiceClient::new(peers.client("search", &context));
    let running = tokio::spawn(async move { running.search_messages(question("wait")).await });
    stage.seen.arrived.notified().await;
    let drain = tokio::spawn(stage.server.drain());
    // The drain begins with the next turn of the runtime.
    tokio::task::yield_now().await;
    let status = stage.client(&context).search_messages(question("look")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "STOPPING"));
    assert!(!drain.is_finished(), "one call is still running");
    stage.seen.gate.notify_waiters();
    assert!(drain.await.unwrap(), "all calls ended");
    running.await.unwrap().unwrap();
    stage.world.stop().await;
}

#[tokio::test]
async fn a_drain_ends_at_its_limit() {
    let stage = Stage::with_config(vec![], &config(4, 50)).await;
    let mut stuck = stage.client(&stage.context());
    let stuck = tokio::spawn(async move { stuck.search_messages(question("wait")).await });
    stage.seen.arrived.notified().await;
    assert!(!stage.server.drain().await, "one call did not end");
    stage.seen.gate.notify_waiters();
    stuck.await.unwrap().unwrap();
    assert!(stage.server.drain().await);
}

fn config(calls: u32, drain_timeout_ms: u64) -> ServerConfig {
    ServerConfig {
        max_concurrent_calls: calls,
        default_timeout_ms: 10_000,
        max_timeout_ms: 10_000,
        probe_interval_ms: 10,
        drain_timeout_ms,
    }
}

#[tokio::test]
async fn readiness_follows_the_probes_and_liveness_does_not() {
    let up = Arc::new(AtomicBool::new(false));
    let probed = up.clone();
    let probe = Probe::new("store", move || {
        let up = probed.load(Ordering::Relaxed);
        async move { if up { Ok(()) } else { Err("away".to_owned()) } }
    });
    let stage = Stage::with(vec![probe]).await;
    // Health is open: no token is needed, and none would be valid for it.
    let mut health =
        HealthClient::new(stage.world.peers("gateway").client("search", &stage.world.context(None)));
    let mut status = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        health.check(request).await.unwrap().into_inner().status()
    };
    assert!(!stage.server.readiness().ask().await);
    assert_eq!(stage.server.readiness().missing()[0].probe, "store");
    assert_eq!(status("search").await, ServingStatus::NotServing);
    assert_eq!(status("liveness").await, ServingStatus::Serving);
    up.store(true, Ordering::Relaxed);
    assert!(stage.server.readiness().ask().await);
    assert_eq!(status("").await, ServingStatus::Serving);
    assert_eq!(status("search").await, ServingStatus::Serving);
    assert!(stage.server.readiness().is_ready());
    stage.world.stop().await;
    assert!(!stage.server.readiness().is_ready(), "a stopping process is not ready");
    assert_eq!(status("search").await, ServingStatus::NotServing);
}

#[tokio::test]
async fn a_probe_without_an_answer_fails() {
    let stage = Stage::with(vec![Probe::new("stuck", std::future::pending)]).await;
    let missing = async {
        while stage.server.readiness().missing().iter().all(|missing| missing.probe != "stuck") {
            stage.server.readiness().ask().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), missing).await.unwrap();
}

#[tokio::test]
async fn reflection_tells_the_services() {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let stage = Stage::set().await;
    let channel = stage.world.peers("gateway").client("search", &stage.world.context(None));
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let asked = futures::stream::iter([request]);
    let mut answers =
        ServerReflectionClient::new(channel).server_reflection_info(asked).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    assert!(list.service.iter().any(|service| service.name == "lethe.search.v1.SearchService"));
}

#[tokio::test]
async fn nats_is_ready_when_it_is_there_and_again_after_it_was_away() {
    let mut nats = lethe_testkit::nats().await;
    let connection = nats.connect("search").await;
    let probe = connection.probe();
    let until = async |ready: bool| {
        while (probe.check)().await.is_ok() != ready {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, until(true)).await.unwrap();
    nats.kill().await;
    tokio::time::timeout(limit, until(false)).await.unwrap();
    nats.restart().await;
    tokio::time::timeout(limit, until(true)).await.unwrap();
}

/// The environment is handed on whole: what a service gets is cloneable and can be sent.
const _: fn() = || {
    fn needs<T: Clone + Send + Sync + 'static>() {}
    needs::<Env>();
};
