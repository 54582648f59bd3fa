//! What travels with a call, and what a call meets.

use std::time::Duration;

use lethe_proto::search::{RebuildIndexRequest, search_service_client::SearchServiceClient};
use lethe_service::{CallContext, Failure, Trace};
use tonic::Code;

use crate::stage::{Stage, question};

fn failure(status: &tonic::Status) -> Failure {
    Failure::from_status(status)
}

/// The context travels whole, over the pipe and over a network, and the deadline shrinks on the way.
async fn travels(stage: &Stage, context: &CallContext, peers: &lethe_service::Peers) {
    stage.seen.contexts.lock().unwrap().clear();
    let mut client = SearchServiceClient::new(peers.client("search", context));
    client.search_messages(question("hop")).await.unwrap();
    let seen = stage.seen.contexts.lock().unwrap().clone();
    assert_eq!(seen.len(), 2);
    for seen in &seen {
        assert_eq!(seen.request_id, context.request_id);
        assert_eq!(seen.principal, context.principal);
        assert_eq!(seen.trace, context.trace);
    }
    // The server's own default is 20 s. What a network takes is added at each hop.
    let latest = context.deadline.unwrap() + Duration::from_secs(1);
    assert!(seen.iter().all(|seen| seen.deadline.unwrap() < latest), "{seen:?} after {latest:?}");
}

#[tokio::test]
async fn a_context_travels_with_the_call() {
    let stage = Stage::set().await;
    let mut context = stage.context().within(Duration::from_secs(5));
    context.request_id = "req-0123.ABC_z".into();
    context.trace = Some(Trace { sampled: true, ..Trace::new(&stage.world.entropy) });
    travels(&stage, &context, &stage.world.peers("gateway")).await;
    travels(&stage, &context, &stage.network().await).await;
}

#[tokio::test]
async fn a_request_id_that_may_not_stand_in_a_log_is_replaced() {
    let stage = Stage::set().await;
    for id in ["", "with space", "ü", &"x".repeat(65)] {
        let mut context = stage.context();
        context.request_id = id.into();
        stage.client(&context).search_messages(question("look")).await.unwrap();
        let seen = stage.seen.contexts.lock().unwrap().pop().unwrap().request_id;
        assert!(&*seen != id && seen.len() == 32, "{id}: {seen}");
    }
    let mut context = stage.context();
    context.request_id = "x".repeat(64).into();
    stage.client(&context).search_messages(question("look")).await.unwrap();
    assert_eq!(stage.seen.contexts.lock().unwrap().pop().unwrap().request_id, context.request_id);
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let stage = Stage::set().await;
    let context = stage.context().within(Duration::from_millis(40));
    for mut client in
        [stage.client(&context), SearchServiceClient::new(stage.network().await.client("search", &context))]
    {
        let status = client.search_messages(question("forever")).await.unwrap_err();
        // Over a network the caller's own clock may end it first, which tonic calls cancelled.
        assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    }
    let status = stage.client(&context).search_messages(question("look")).await.unwrap_err();
    assert_eq!(failure(&status).reason, "DEADLINE_EXCEEDED", "nothing is begun after the deadline");
}

#[tokio::test]
async fn a_panic_is_an_internal_failure_that_says_nothing() {
    let stage = Stage::set().await;
    let mut client = stage.client(&stage.context());
    for query in ["panic", "fail"] {
        let status = client.search_messages(question(query)).await.unwrap_err();
        assert_eq!((status.code(), &*failure(&status).reason), (Code::Internal, "INTERNAL"));
        let told = format!("{} {:?}", status.message(), status.details());
        assert!(!told.contains("gave up") && !told.contains("secret"), "{told}");
    }
    client.search_messages(question("look")).await.unwrap();
}

#[tokio::test]
async fn the_guard_stands_before_every_rpc() {
    let stage = Stage::set().await;
    let nobody = stage.world.context(None);
    let status = stage.client(&nobody).search_messages(question("look")).await.unwrap_err();
    assert_eq!(failure(&status).reason, "PRINCIPAL_MISSING");
    let status =
        stage.index(&stage.context()).rebuild_index(RebuildIndexRequest::default()).await.unwrap_err();
    assert_eq!(failure(&status).reason, "CALLER_NOT_ALLOWED");
    let auditor = stage.world.principal(stage.world.tenant(), &[lethe_access::Role::Auditor]);
    let auditor = stage.world.context(Some(auditor));
    let status = stage.client(&auditor).search_messages(question("look")).await.unwrap_err();
    assert_eq!(failure(&status).reason, "PERMISSION_DENIED");
    assert!(stage.seen.contexts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_peer_that_is_not_configured_is_unavailable() {
    let stage = Stage::set().await;
    let channel = stage.world.peers("gateway").client("elsewhere", &stage.context());
    let status = SearchServiceClient::new(channel).search_messages(question("look")).await.unwrap_err();
    assert_eq!((status.code(), &*failure(&status).reason), (Code::Unavailable, "PEER_UNKNOWN"));
}

#[tokio::test]
async fn a_call_waits_for_a_service_that_starts_later() {
    let world = lethe_testkit::World::new(&["gateway", "search"]).await;
    let context = world.context(None).within(Duration::from_millis(30));
    let mut client = SearchServiceClient::new(world.peers("gateway").client("search", &context));
    let call = tokio::time::timeout(Duration::from_secs(5), client.search_messages(question("look")));
    let status = call.await.expect("no longer than it has time").unwrap_err();
    assert_eq!(failure(&status).reason, "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_call() {
    let stage = Stage::set().await;
    let mut client = stage.client(&stage.context());
    let call = tokio::time::timeout(Duration::from_millis(30), client.search_messages(question("wait")));
    assert!(call.await.is_err());
    assert!(stage.server.drain().await, "nothing runs any more");
}
