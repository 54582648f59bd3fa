//! Ways into private networks, each refused at the moment of connecting; and what becomes of slow and odd receivers.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

#[derive(serde::Deserialize)]
struct Section {
    messaging: Messaging,
}
#[derive(serde::Deserialize)]
struct Messaging {
    webhooks: WebhooksConfig,
}

/// The defaults, but for a time limit that a test can wait for.
fn config(allowed: &str) -> WebhooksConfig {
    let more =
        format!("[messaging.webhooks]\nallowed_networks = {allowed}\nallow_http = true\ntimeout_ms = 500\n");
    let all: Section =
        lethe_service::load(&[crate::DEFAULTS, more.as_str()], None, std::iter::empty()).unwrap();
    all.messaging.webhooks
}

/// Answers these addresses in turn, the last one for ever.
fn table(answers: &'static [&'static [&'static str]]) -> Lookup {
    let asked = Arc::new(AtomicUsize::new(0));
    Arc::new(move |_name| {
        let turn = asked.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
        async move { Ok(answers[turn].iter().map(|address| address.parse().unwrap()).collect()) }.boxed()
    })
}

fn post(allowed: &str, lookup: Lookup) -> Post {
    Post::new(&config(allowed), lookup).unwrap()
}

async fn send(post: &Post, url: &str) -> Result<u16, NoAnswer> {
    let headers = [
        ("webhook-id", "a".to_owned()),
        ("webhook-timestamp", "b".to_owned()),
        ("webhook-signature", "c".to_owned()),
    ];
    post.send(&Url::parse(url).unwrap(), headers, "{}".to_owned()).await
}

/// Answers every connection with `answer`, and counts the connections.
async fn receiver(address: &str, answer: &'static str) -> (u16, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let (port, connections) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(0)));
    let counted = connections.clone();
    lethe_ambient::Tasks::new().spawn("receiver", async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            *counted.lock().unwrap() += 1;
            let mut read = [0; 4096];
            let _request = stream.read(&mut read).await;
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
            let _sent = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, connections)
}

const OK: &str = "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn a_name_that_leads_into_a_private_network_is_not_connected_to() {
    let (port, connections) = receiver("127.0.0.1", OK).await;
    let private: [&'static [&'static str]; 5] =
        [&["127.0.0.1"], &["169.254.169.254"], &["::1"], &["::ffff:127.0.0.1"], &["10.0.0.1", "fd00::1"]];
    for addresses in private {
        let post = post(
            "[]",
            Arc::new(move |_| {
                async move { Ok(addresses.iter().map(|a| a.parse().unwrap()).collect()) }.boxed()
            }),
        );
        let url = format!("http://hooks.example.org:{port}/");
        assert_eq!(send(&post, &url).await, Err(NoAnswer::AddressNotAllowed), "{addresses:?}");
    }
    for url in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "127.1", "0"] {
        let post = post("[]", system());
        let answer = send(&post, &format!("http://{url}:{port}/")).await;
        assert_eq!(answer, Err(NoAnswer::AddressNotAllowed), "{url}");
    }
    assert_eq!(
        send(&post("[]", system()), &format!("http://localhost:{port}/")).await,
        Err(NoAnswer::AddressNotAllowed)
    );
    assert_eq!(*connections.lock().unwrap(), 0, "nobody was connected to");
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_the_second_time_is_refused_then() {
    let (port, connections) = receiver("127.0.0.2", OK).await;
    let post = post("[\"127.0.0.2/32\"]", table(&[&["127.0.0.2"], &["127.0.0.1"]]));
    let url = format!("http://rebind.example.org:{port}/");
    assert_eq!(send(&post, &url).await, Ok(204));
    assert_eq!(send(&post, &url).await, Err(NoAnswer::AddressNotAllowed));
    assert_eq!(*connections.lock().unwrap(), 1);
}

#[tokio::test]
async fn of_several_addresses_only_those_that_may_be_reached_are_tried() {
    let (port, connections) = receiver("127.0.0.2", OK).await;
    let post = post("[\"127.0.0.2/32\"]", table(&[&["127.0.0.1", "::1", "127.0.0.2"]]));
    assert_eq!(send(&post, &format!("http://many.example.org:{port}/")).await, Ok(204));
    assert_eq!(*connections.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (inner, reached) = receiver("127.0.0.2", OK).await;
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.2:{inner}/\r\ncontent-length: 0\r\n\r\n"
    );
    let (port, _) = receiver("127.0.0.2", redirect.leak()).await;
    let post = post("[\"127.0.0.2/32\"]", system());
    assert_eq!(send(&post, &format!("http://127.0.0.2:{port}/")).await, Ok(307));
    assert_eq!(*reached.lock().unwrap(), 0);
}

#[tokio::test]
async fn whoever_does_not_answer_in_time_or_in_http_is_left() {
    let post = post("[\"127.0.0.2/32\"]", system());
    let (silent, _) = receiver("127.0.0.2", "").await;
    assert_eq!(send(&post, &format!("http://127.0.0.2:{silent}/")).await, Err(NoAnswer::TimedOut));
    let (odd, _) = receiver("127.0.0.2", "SSH-2.0-OpenSSH_9.2\r\n").await;
    assert_eq!(send(&post, &format!("http://127.0.0.2:{odd}/")).await, Err(NoAnswer::Broken));
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let nobody = listener.local_addr().unwrap().port();
    drop(listener);
    assert_eq!(send(&post, &format!("http://127.0.0.2:{nobody}/")).await, Err(NoAnswer::ConnectFailed));
    let none = self::post("[]", Arc::new(|_| async { Ok(Vec::new()) }.boxed()));
    assert_eq!(send(&none, "http://nowhere.example.org/").await, Err(NoAnswer::NameNotResolved));
}

#[tokio::test]
async fn tls_is_asked_for_and_its_certificate_believed_by_nobody_else() {
    let (port, _) = receiver("127.0.0.2", OK).await;
    let post = post("[\"127.0.0.2/32\"]", system());
    let answer = send(&post, &format!("https://127.0.0.2:{port}/")).await;
    assert_eq!(answer, Err(NoAnswer::ConnectFailed), "plain HTTP is no TLS");
}
