//! A receiver of webhooks: an HTTP server on an address of loopback that nothing else listens on, which writes down what it
//! gets and answers as the test says.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use lethe_ambient::Tasks;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// `/hooks`.
    pub path: String,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
    /// As it was sent.
    pub body: String,
}

type Answer = dyn Fn(&Received, usize) -> u16 + Send + Sync;

/// A server of a test's own. It listens until the test's runtime ends.
#[derive(Clone)]
pub struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    answer: Arc<Answer>,
}

impl Receiver {
    /// Listens on 127.0.0.2. `answer` is asked for the status of each request, with the number of those before it.
    ///
    /// # Panics
    /// When the address cannot be had.
    pub async fn start(answer: impl Fn(&Received, usize) -> u16 + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.2:0").await.expect("an address of loopback");
        let address = listener.local_addr().expect("an address");
        let receiver = Self { address, received: Arc::default(), answer: Arc::new(answer) };
        let accepting = receiver.clone();
        Tasks::new().spawn("receiver", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let one = accepting.clone();
                Tasks::new().spawn("receiver", async move {
                    // A client that goes away has its reasons.
                    let _gone = one.serve(stream).await;
                });
            }
        });
        receiver
    }

    /// Where `path` is.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What came so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let path = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = bytes.split_off(end + 4);
        while body.len() < length {
            if stream.read_buf(&mut body).await? == 0 {
                return Ok(());
            }
        }
        let one = Received { path, headers, body: String::from_utf8_lossy(&body).into_owned() };
        let before = {
            let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
            received.push(one.clone());
            received.len() - 1
        };
        let status = (self.answer)(&one, before);
        // A redirect leads to another path of the same receiver.
        let location = if (300..400).contains(&status) { "location: /elsewhere\r\n" } else { "" };
        let answer =
            format!("HTTP/1.1 {status} Answer\r\n{location}content-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    }
}
