//! Mutual TLS between processes: who is let in, and certificates that are exchanged while calls run.

use std::{path::Path, time::Duration};

use lethe_proto::search::search_service_client::SearchServiceClient;
use lethe_servers::Authority;
use lethe_service::{
    CallContext, Failure, Peers,
    tls::{Mutual, TlsConfig, TlsError},
};
use tempfile::TempDir;
use time::OffsetDateTime;
use tonic::Status;

use crate::stage::{Stage, question};

const LIFE: time::Duration = time::Duration::days(1);

/// An authority and what it signed.
struct Certificates {
    folder: TempDir,
    authority: Authority,
}

impl Certificates {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::in_folder(folder.path(), OffsetDateTime::now_utc()).unwrap();
        let certificates = Self { folder, authority };
        certificates.issue("gateway", OffsetDateTime::now_utc());
        certificates.issue("search", OffsetDateTime::now_utc());
        certificates
    }

    /// For the service `name`, good for a day from `from` on.
    fn issue(&self, name: &str, from: OffsetDateTime) {
        self.authority.issue(name, &[name], from, LIFE).unwrap();
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate in the files of `file`, for the process of `services`.
    fn load(&self, file: &str, services: &[&str], stage: &Stage) -> Result<Mutual, TlsError> {
        let config = TlsConfig {
            ca: self.path().join("ca.pem"),
            certificate: self.path().join(format!("{file}.pem")),
            key: self.path().join(format!("{file}-key.pem")),
            reload_interval_ms: 10,
        };
        Mutual::load(&config, services, &stage.world.tasks)
    }
}

async fn ask(peers: &Peers, context: &CallContext) -> Result<(), Status> {
    let mut client = SearchServiceClient::new(peers.client("search", context));
    client.search_messages(question("look")).await.map(drop)
}

fn reason(answer: Result<(), Status>) -> String {
    Failure::from_status(&answer.unwrap_err()).reason.into_owned()
}

#[tokio::test]
async fn only_who_shows_a_certificate_of_the_authority_for_the_service_it_says_is_heard() {
    let (stage, ours) = (Stage::set().await, Certificates::new());
    let server = ours.load("search", &["search"], &stage).unwrap();
    let url = format!("https://{}", stage.listen(Some(&server)).await);
    let context = stage.context();
    let gateway = ours.load("gateway", &["gateway"], &stage).unwrap();
    ask(&stage.peers_at(&url, Some(&gateway)), &context).await.expect("the gateway is let in");

    // The token is the gateway's, the certificate is not.
    let as_search = stage.peers_at(&url, Some(&server));
    assert_eq!(reason(ask(&as_search, &context).await), "CERTIFICATE_OF_ANOTHER");
    // The same name by another authority.
    let theirs = Certificates::new();
    let stranger = theirs.load("gateway", &["gateway"], &stage).unwrap();
    assert_eq!(reason(ask(&stage.peers_at(&url, Some(&stranger)), &context).await), "PEER_AWAY");
    // In plain.
    let plain = stage.peers_at(&url.replace("https", "http"), None);
    assert_ne!(ask(&plain, &context).await.map_err(|status| reason(Err(status))), Ok(()));
    // A server that is another service.
    let impostor = format!("https://{}", stage.listen(Some(&gateway)).await);
    assert_eq!(reason(ask(&stage.peers_at(&impostor, Some(&gateway)), &context).await), "PEER_AWAY");
    assert_eq!(stage.seen.contexts.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_peers_would_refuse_is_refused_at_the_start() {
    let (stage, certificates) = (Stage::set().await, Certificates::new());
    let refused = |file: &str, services: &[&str]| {
        let error = certificates.load(file, services, &stage).unwrap_err();
        assert!(matches!(error, TlsError::Certificate(..) | TlsError::Pem { .. }), "{error}");
    };
    refused("search", &["gateway"]);
    refused("search", &["search", "gateway"]);
    certificates.issue("search", OffsetDateTime::now_utc() - 2 * LIFE);
    refused("search", &["search"]);
    certificates.issue("search", OffsetDateTime::now_utc() + LIFE);
    refused("search", &["search"]);
    certificates.issue("search", OffsetDateTime::now_utc());
    certificates.load("search", &["search"], &stage).unwrap();
    std::fs::copy(certificates.path().join("gateway-key.pem"), certificates.path().join("search-key.pem"))
        .unwrap();
    refused("search", &["search"]);
    std::fs::write(certificates.path().join("search.pem"), "no certificate").unwrap();
    refused("search", &["search"]);
}

#[tokio::test]
async fn a_peer_whose_certificate_has_expired_is_refused() {
    let (stage, certificates) = (Stage::set().await, Certificates::new());
    let server = certificates.load("search", &["search"], &stage).unwrap();
    let url = format!("https://{}", stage.listen(Some(&server)).await);
    // It is loaded while it holds: until two seconds from now.
    let context = stage.context();
    certificates
        .authority
        .issue("gateway", &["gateway"], OffsetDateTime::now_utc(), time::Duration::seconds(2))
        .unwrap();
    let short = certificates.load("gateway", &["gateway"], &stage).unwrap();
    ask(&stage.peers_at(&url, Some(&short)), &context).await.expect("it still holds");
    let refused = async {
        while ask(&stage.peers_at(&url, Some(&short)), &context).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), refused).await.expect("a new connection is refused");
}

#[tokio::test]
async fn certificates_are_exchanged_while_calls_run_and_bad_ones_are_not_taken() {
    let (stage, certificates) = (Stage::set().await, Certificates::new());
    let server = certificates.load("search", &["search"], &stage).unwrap();
    let url = format!("https://{}", stage.listen(Some(&server)).await);
    let gateway = certificates.load("gateway", &["gateway"], &stage).unwrap();
    let (peers, context) = (stage.peers_at(&url, Some(&gateway)), stage.context());
    let mut waiting = SearchServiceClient::new(peers.client("search", &context));
    let waiting = tokio::spawn(async move { waiting.search_messages(question("wait")).await });
    stage.seen.arrived.notified().await;

    // Rubbish first: the old one stays in use for new connections.
    let file = certificates.path().join("search.pem");
    let old = std::fs::read(&file).unwrap();
    std::fs::write(&file, "half a fi").unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    ask(&stage.peers_at(&url, Some(&gateway)), &context).await.expect("the old certificate is shown");
    std::fs::write(&file, &old).unwrap();

    // A new authority: everybody gets certificates of it and, for a while, both authorities.
    let next = Certificates::new();
    let both = |one: &Path, two: &Path| [std::fs::read(one).unwrap(), std::fs::read(two).unwrap()].concat();
    let ca = both(&certificates.path().join("ca.pem"), &next.path().join("ca.pem"));
    std::fs::write(certificates.path().join("ca.pem"), ca).unwrap();
    for name in ["search", "gateway"] {
        for file in [format!("{name}.pem"), format!("{name}-key.pem")] {
            std::fs::copy(next.path().join(&file), certificates.path().join(&file)).unwrap();
        }
    }
    // Whoever knows the new authority alone is let in as soon as all has been read.
    let modern = next.load("gateway", &["gateway"], &stage).unwrap();
    let exchanged = async { while ask(&stage.peers_at(&url, Some(&modern)), &context).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(20), exchanged).await.expect("the new certificate is shown");

    stage.seen.gate.notify_waiters();
    waiting.await.unwrap().expect("the call of before was not disturbed");
    ask(&peers, &context).await.expect("nor was its connection");
}
