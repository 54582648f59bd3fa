//! A service with replicas: one that goes away costs what it had in hand and nothing else.

use std::time::Duration;

use lethe_proto::search::search_service_client::SearchServiceClient;
use lethe_service::Failure;
use lethe_testkit::Proxy;
use tonic::Code;

use crate::stage::{Stage, question};

fn reason(status: &tonic::Status) -> String {
    Failure::from_status(status).reason.into_owned()
}

fn asked(stage: &Stage) -> usize {
    stage.seen.contexts.lock().unwrap().len()
}

#[tokio::test]
async fn replicas_share_the_calls_and_one_that_drains_costs_none() {
    let (one, two) = (Stage::set().await, Stage::set().await);
    let urls = format!("http://{}, http://{}", one.listen(None).await, two.listen(None).await);
    let (peers, context) = (one.peers_at(&urls, None), one.context());
    let call = async || {
        let mut client = SearchServiceClient::new(peers.client("search", &context));
        client.search_messages(question("look")).await
    };
    let connected = async {
        while asked(&one) == 0 || asked(&two) == 0 {
            call().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(10), connected).await.expect("both are asked");
    for _ in 0..20 {
        call().await.unwrap();
    }
    assert!(asked(&one).abs_diff(asked(&two)) <= 12, "{} and {}", asked(&one), asked(&two));

    let drained = tokio::spawn(one.server.drain());
    let before = asked(&one);
    for _ in 0..50 {
        call().await.expect("the other one takes it");
    }
    assert!(drained.await.unwrap());
    assert_eq!(asked(&one), before, "a draining replica begins nothing");
}

#[tokio::test]
async fn a_call_that_was_lost_on_its_way_may_be_made_again_and_another_replica_answers() {
    let (one, two) = (Stage::set().await, Stage::set().await);
    let proxy = Proxy::before(one.listen(None).await.port()).await;
    let urls = format!("http://{},http://{}", proxy.address(), two.listen(None).await);
    let (peers, context) = (one.peers_at(&urls, None), one.context());
    let client = || SearchServiceClient::new(peers.client("search", &context));
    // Equals take turns: of two that wait, each replica has one.
    let (mut first, mut second) = (client(), client());
    while asked(&one) == 0 || asked(&two) == 0 {
        client().search_messages(question("look")).await.unwrap();
    }
    let waiting = tokio::spawn(async move {
        tokio::join!(first.search_messages(question("wait")), second.search_messages(question("wait")))
    });
    one.seen.arrived.notified().await;
    two.seen.arrived.notified().await;
    proxy.cut();
    // What the other one has in hand goes on.
    while client().search_messages(question("look")).await.is_err() {}
    two.seen.gate.notify_one();
    let (first, second) = waiting.await.unwrap();
    let (lost, kept) = if first.is_err() { (first, second) } else { (second, first) };
    let status = lost.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "PEER_LOST"));
    assert!(Failure::from_status(&status).retry_after.is_some());
    kept.unwrap();
    for _ in 0..20 {
        client().search_messages(question("look")).await.expect("the other one answers");
    }
}

#[tokio::test]
async fn a_service_that_is_away_is_unavailable_and_is_found_again() {
    let stage = Stage::set().await;
    let proxy = Proxy::before(stage.listen(None).await.port()).await;
    proxy.cut();
    let (peers, context) = (stage.peers_at(&format!("http://{}", proxy.address()), None), stage.context());
    let client = || SearchServiceClient::new(peers.client("search", &context));
    let status = client().search_messages(question("look")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "PEER_AWAY"));
    proxy.mend();
    let answered = async { while client().search_messages(question("look")).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(10), answered).await.expect("it is found again");
}

#[tokio::test]
async fn a_replica_that_falls_silent_is_given_up() {
    let (one, two) = (Stage::set().await, Stage::set().await);
    let proxy = Proxy::before(one.listen(None).await.port()).await;
    let urls = format!("http://{},http://{}", proxy.address(), two.listen(None).await);
    let (peers, context) = (one.peers_at(&urls, None), one.context().within(Duration::from_secs(20)));
    let client = || SearchServiceClient::new(peers.client("search", &context));
    while asked(&one) == 0 || asked(&two) == 0 {
        client().search_messages(question("look")).await.unwrap();
    }
    proxy.fall_silent();
    let before = asked(&two);
    let calls = (0..8).map(|_| {
        let mut client = client();
        async move { client.search_messages(question("look")).await }
    });
    let limit = Duration::from_secs(15);
    let answers = tokio::time::timeout(limit, futures::future::join_all(calls)).await.expect("nobody hangs");
    for answer in answers.into_iter().filter_map(Result::err) {
        assert_eq!((answer.code(), reason(&answer).as_str()), (Code::Unavailable, "PEER_LOST"));
    }
    assert!(asked(&two) > before);
    let mut client = client();
    let quick = tokio::time::timeout(Duration::from_secs(2), client.search_messages(question("look")));
    quick.await.expect("the silent one is not asked").unwrap();
}
