//! Signals over OTLP, in a process of their own: a subscriber is set once a process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the collector ends with the test's runtime")]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use lethe_access::Role;
use lethe_proto::search::{SearchMessagesRequest, search_service_client::SearchServiceClient};
use lethe_service::{Parts, TelemetryConfig, Trace, telemetry};
use lethe_testkit::World;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{body::Body, service::Routes};

type Received = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A collector that keeps the bytes of what is exported, by path, and answers an empty message.
async fn collector(received: Received) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let service = tower::service_fn(move |request: Request<Body>| {
        let received = received.clone();
        async move {
            let path = request.uri().path().to_owned();
            let bytes = request.into_body().collect().await.unwrap().to_bytes();
            received.lock().unwrap().entry(path).or_default().extend_from_slice(&bytes);
            let trailers =
                HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
            let body = Full::new(Bytes::from_static(&[0; 5])).with_trailers(async { Some(Ok(trailers)) });
            let mut response = Response::new(Body::new(body));
            let kind = HeaderValue::from_static("application/grpc");
            response.headers_mut().insert("content-type", kind);
            Ok::<_, Infallible>(response)
        }
    });
    tokio::spawn(
        tonic::transport::Server::builder().serve_with_incoming(service, TcpListenerStream::new(listener)),
    );
    endpoint
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_gives_a_span_below_its_caller_a_log_record_and_a_measurement() {
    let received = Received::default();
    let config = TelemetryConfig {
        endpoint: collector(received.clone()).await,
        filter: "warn,lethe_service=info".to_owned(),
        stderr_filter: String::new(),
        format: telemetry::LogFormat::Json,
        sample_ratio: 0.0,
        metrics_interval_ms: 60_000,
        attributes: [("deployment.environment.name".to_owned(), "test".to_owned())].into(),
    };
    let guard = telemetry::init(&config, "lethe-test", None).unwrap();
    let world = World::new(&["gateway", "search"]).await;
    let parts = Parts { name: "search", grpc: Routes::default(), jobs: vec![], probes: vec![], http: None };
    let env = world.env("search").await;
    let _server = world.serve(parts, &env);
    let call = async |sampled: bool, request_id: &str| {
        let mut context = world.context(Some(world.principal(world.tenant(), &[Role::Agent])));
        let trace = Trace { sampled, ..Trace::new(&world.entropy) };
        context.trace = Some(trace);
        context.request_id = request_id.into();
        let mut client = SearchServiceClient::new(world.peers("gateway").client("search", &context));
        client.search_messages(SearchMessagesRequest::default()).await.unwrap_err();
        trace
    };
    let recorded = call(true, "recorded-request").await;
    let left_out = call(false, "left-out-request").await;
    tokio::task::spawn_blocking(|| drop(guard)).await.unwrap();

    let received = std::mem::take(&mut *received.lock().unwrap());
    let of = |signal: &str| {
        let found = received.iter().find(|(path, _)| path.to_lowercase().contains(signal));
        found.unwrap_or_else(|| panic!("no {signal} in {:?}", received.keys())).1.clone()
    };
    let spans = of("traceservice");
    assert!(holds(&spans, b"search.search_messages") && holds(&spans, b"lethe-test"));
    assert!(holds(&spans, b"deployment.environment.name") && holds(&spans, b"recorded-request"));
    assert!(
        holds(&spans, &recorded.trace_id) && holds(&spans, &recorded.span_id),
        "the caller's trace goes on"
    );
    assert!(!holds(&spans, &left_out.trace_id), "the caller's decision is kept");
    let logs = of("logsservice");
    assert!(holds(&logs, b"Unimplemented") && holds(&logs, &recorded.trace_id));
    let lines = logs.windows(6).filter(|window| window == b"micros").count();
    assert_eq!(lines, 2, "one access-log line a call");
    let metrics = of("metricsservice");
    assert!(holds(&metrics, b"lethe.rpc.duration") && holds(&metrics, b"search.search_messages"));
    assert!(world.tasks.shut_down(Duration::from_secs(10)).await);
}
