//! The gateway on a socket: slow and greedy clients, and the drain.

use std::{net::SocketAddr, time::Duration};

use lethe_gateway::{Config, Listening, serve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::support::{Edge, TOKEN, edge_with};

/// Longer than anything here takes; shorter than anyone waits.
const LIMIT: Duration = Duration::from_secs(10);

async fn listening(change: impl FnOnce(&mut Config)) -> (Edge, Listening) {
    let edge = edge_with(change).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listening = serve(listener, edge.router.clone(), &edge.config, &edge.tasks).unwrap();
    (edge, listening)
}

async fn connect(address: SocketAddr) -> TcpStream {
    timeout(LIMIT, TcpStream::connect(address)).await.unwrap().unwrap()
}

/// Everything until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let _ = timeout(LIMIT, stream.read_to_end(&mut bytes)).await.expect("the server closes");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One answer of a connection that stays open.
async fn answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains("\r\n\r\n") || !text.ends_with('}') {
        let read = timeout(LIMIT, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(read, 0, "closed: {text}");
        text += std::str::from_utf8(&buffer[..read]).unwrap();
    }
    text
}

#[tokio::test]
async fn it_serves_on_a_socket_and_keeps_the_connection() {
    let (_edge, listening) = listening(|_| {}).await;
    let mut stream = connect(listening.address()).await;
    for _ in 0..2 {
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    assert!(listening.drain().await);
}

#[tokio::test]
async fn who_does_not_finish_the_headers_is_cut_off() {
    let (_edge, listening) = listening(|config| config.header_timeout_ms = 50).await;
    let mut slow = connect(listening.address()).await;
    slow.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\nx-slow: ").await.unwrap();
    let text = rest(&mut slow).await;
    assert!(!text.contains("200 OK"), "{text}");
    let mut idle = connect(listening.address()).await;
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(rest(&mut idle).await.contains("200 OK"), "answered, then closed for being idle");
}

#[tokio::test]
async fn who_asks_nothing_is_cut_off_whatever_he_speaks() {
    let (_edge, listening) = listening(|config| config.header_timeout_ms = 50).await;
    // Nothing at all; and what may yet become HTTP/2.
    for begun in ["", "P", "PRI * HTTP/2.0\r\n"] {
        let mut silent = connect(listening.address()).await;
        silent.write_all(begun.as_bytes()).await.unwrap();
        assert_eq!(rest(&mut silent).await, "", "{begun:?}");
    }
    // HTTP/2 that is whole, answers pings and begins no request.
    let stream = connect(listening.address()).await;
    let (_client, connection) = h2::client::handshake(stream).await.unwrap();
    let _either_way = timeout(LIMIT, connection).await.expect("the server closes");
}

#[tokio::test]
async fn who_takes_no_answer_is_cut_off() {
    let (_edge, listening) = listening(|config| {
        config.header_timeout_ms = 50;
        config.request_timeout_ms = 50;
        config.body_timeout_ms = 50;
    })
    .await;
    let stream = connect(listening.address()).await;
    // A window of nothing: the answer's headers come, its body cannot.
    let mut shut = h2::client::Builder::new();
    let (mut client, connection) =
        shut.initial_window_size(0).handshake::<_, bytes::Bytes>(stream).await.unwrap();
    let request = http::Request::get("http://a/openapi.json").body(()).unwrap();
    let (answer, _) = client.send_request(request, true).unwrap();
    let answered = async {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        // And is never read.
        std::future::pending::<()>().await;
        drop(answer);
    };
    let ended = async {
        tokio::select! {
            _either_way = connection => {}
            () = answered => {}
        }
    };
    timeout(LIMIT, ended).await.expect("the server closes");
}

#[tokio::test]
async fn a_body_that_dawdles_is_answered_408() {
    let (edge, listening) = listening(|config| config.body_timeout_ms = 50).await;
    let mut slow = connect(listening.address()).await;
    let head = format!(
        "POST /v1/contacts HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\nidempotency-key: k\r\n\
         content-type: application/json\r\ncontent-length: 9\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let text = rest(&mut slow).await;
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("BODY_TOO_SLOW"), "{text}");
    assert_eq!(edge.behind.count("CreateContact"), 0);
}

/// An HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Requests that are taken back as soon as they begin (CVE-2023-44487): the server ends such a connection, and serves others.
#[tokio::test]
async fn streams_that_are_reset_as_soon_as_they_begin_end_the_connection() {
    let (_edge, listening) = listening(|_| {}).await;
    let mut rapid = connect(listening.address()).await;
    let mut flood = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[])].concat();
    for stream in (1..2_000).step_by(2) {
        // GET / of http://a, whole; and RST_STREAM, CANCEL.
        flood.extend(frame(1, 5, stream, &[0x82, 0x86, 0x84, 0x41, 1, b'a']));
        flood.extend(frame(3, 0, stream, &[0, 0, 0, 8]));
    }
    rapid.write_all(&flood).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(LIMIT, rapid.read_to_end(&mut answer)).await.expect("the server closes");
    let (mut rest, mut reason) = (&answer[..], None);
    while let [a, b, c, kind, ..] = *rest {
        let (whole, after) = rest.split_at(9 + u32::from_be_bytes([0, a, b, c]) as usize);
        if kind == 7 {
            reason = Some(u32::from_be_bytes(whole[13..17].try_into().unwrap()));
        }
        rest = after;
    }
    assert_eq!(reason, Some(0xb), "GOAWAY, ENHANCE_YOUR_CALM");
    let mut other = connect(listening.address()).await;
    other.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(self::answer(&mut other).await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn headers_have_a_limit() {
    let (_edge, listening) = listening(|config| config.header_limit_bytes = 8_192).await;
    let mut greedy = connect(listening.address()).await;
    let _ = greedy.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n").await;
    let _ = greedy.write_all(format!("x-long: {}\r\n\r\n", "x".repeat(20_000)).as_bytes()).await;
    let text = rest(&mut greedy).await;
    assert!(text.starts_with("HTTP/1.1 431") || text.is_empty(), "{text}");
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let (_edge, listening) = listening(|_| {}).await;
    let mut odd = connect(listening.address()).await;
    odd.write_all(b"\x16\x03\x01\x02\x00 this is TLS\r\n\r\n").await.unwrap();
    assert!(rest(&mut odd).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn one_connection_too_many_waits_for_a_place() {
    let (_edge, listening) = listening(|config| config.max_connections = 1).await;
    let mut first = connect(listening.address()).await;
    first.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    answer(&mut first).await;
    let mut second = connect(listening.address()).await;
    second.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut byte = [0];
    assert!(
        timeout(Duration::from_millis(100), second.read(&mut byte)).await.is_err(),
        "it has no place yet"
    );
    drop(first);
    assert!(answer(&mut second).await.contains("200 OK"));
}

#[tokio::test]
async fn the_drain_finishes_what_runs_and_takes_no_more() {
    let (edge, listening) = listening(|_| {}).await;
    let address = listening.address();
    let mut running = connect(address).await;
    let head = format!(
        "POST /v1/contacts HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\nidempotency-key: k\r\n\
         content-type: application/json\r\ncontent-length: 2\r\n\r\n{{"
    );
    running.write_all(head.as_bytes()).await.unwrap();
    let wait = async {
        while edge.behind.count("Authenticate") == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, wait).await.expect("the request runs");
    let finish = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        running.write_all(b"}").await.unwrap();
        rest(&mut running).await
    };
    let (drained, text) = timeout(LIMIT, async { tokio::join!(listening.drain(), finish) }).await.unwrap();
    assert!(drained);
    assert!(text.starts_with("HTTP/1.1 201"), "{text}");
    assert_eq!(edge.behind.count("CreateContact"), 1);
    assert!(edge.tasks.shut_down(LIMIT).await, "no task is left");
}

#[tokio::test]
async fn the_drain_cuts_what_is_late() {
    let (edge, listening) = listening(|config| config.drain_timeout_ms = 50).await;
    let mut stuck = connect(listening.address()).await;
    let head = format!(
        "POST /v1/contacts HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\nidempotency-key: k\r\n\
         content-type: application/json\r\ncontent-length: 9\r\n\r\n{{"
    );
    stuck.write_all(head.as_bytes()).await.unwrap();
    let wait = async {
        while edge.behind.count("Authenticate") == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, wait).await.expect("the request runs");
    assert!(!listening.drain().await, "something was cut");
    assert_eq!(rest(&mut stuck).await, "");
    assert!(edge.tasks.shut_down(LIMIT).await, "no task is left");
    assert_eq!(edge.behind.count("CreateContact"), 0);
}
