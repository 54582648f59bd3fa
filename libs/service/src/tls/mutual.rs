//! The wire between the services.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use lethe_ambient::Tasks;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::{Resumption, WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use webpki::EndEntityCert;

use super::{TlsError, certificates, files::Files, private_key, provider};

/// How long a handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// The section `tls`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The authorities' certificates; nothing but what they signed is let in or called.
    pub ca: PathBuf,
    /// The chain of this process, its own certificate first, with the name of each service in it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// How often the three files are looked at.
    #[serde(default = "reload_interval_ms")]
    pub reload_interval_ms: u64,
}

pub(super) fn reload_interval_ms() -> u64 {
    2000
}

/// Mutual TLS 1.3. Clones share it.
#[derive(Clone)]
pub struct Mutual(Files<Ends>);

struct Ends {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Mutual {
    /// Reads the files, and again whenever they change. `services` are those of this process.
    ///
    /// # Errors
    /// [`TlsError`]: what a peer would refuse is refused here already.
    pub fn load(config: &TlsConfig, services: &[&str], tasks: &Tasks) -> Result<Self, TlsError> {
        let paths = vec![config.certificate.clone(), config.key.clone(), config.ca.clone()];
        let interval = Duration::from_millis(config.reload_interval_ms);
        let (known, services) =
            (paths.clone(), services.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        Files::watch(paths, interval, tasks, move |contents| ends(&known, contents, &services)).map(Self)
    }

    /// The called end: whoever comes has shown a certificate of the authority.
    ///
    /// # Errors
    /// When the other end shows none that holds, or takes too long.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<server::TlsStream<TcpStream>> {
        let accepted = TlsAcceptor::from(self.0.current().server.clone()).accept(stream);
        tokio::time::timeout(HANDSHAKE_LIMIT, accepted).await?
    }

    /// The calling end: the other one has shown that it is the service `name`.
    ///
    /// # Errors
    /// When it is another, shows no certificate that holds, or takes too long.
    pub async fn connect(&self, stream: TcpStream, name: &str) -> io::Result<client::TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let connected = TlsConnector::from(self.0.current().client.clone()).connect(name, stream);
        tokio::time::timeout(HANDSHAKE_LIMIT, connected).await?
    }
}

impl std::fmt::Debug for Mutual {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mutual")
    }
}

/// Whether a peer's certificate is one for `service`.
pub fn certifies(certificate: &CertificateDer<'_>, service: &str) -> bool {
    let (Ok(certificate), Ok(name)) = (EndEntityCert::try_from(certificate), ServerName::try_from(service))
    else {
        return false;
    };
    certificate.verify_is_valid_for_subject_name(&name).is_ok()
}

fn ends(paths: &[PathBuf], contents: &[Vec<u8>], services: &[String]) -> Result<Ends, TlsError> {
    let does_not_hold = |error: String| TlsError::Certificate(paths[0].clone(), error);
    let chain = certificates(&paths[0], &contents[0])?;
    let key = private_key(&paths[1], &contents[1])?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&paths[2], &contents[2])? {
        roots.add(certificate).map_err(|error| TlsError::Certificate(paths[2].clone(), error.to_string()))?;
    }
    let roots = Arc::new(roots);
    let callers = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider()).build();
    let callers = callers.map_err(|error| does_not_hold(error.to_string()))?;
    let called = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
    let called = called.map_err(|error| does_not_hold(error.to_string()))?;
    // Looked at with the peers' eyes, so that it is refused here and now and not by all of them later.
    let (own, between, now) = (&chain[0], &chain[1..], UnixTime::now());
    callers.verify_client_cert(own, between, now).map_err(|error| does_not_hold(error.to_string()))?;
    for service in services {
        let name = ServerName::try_from(service.clone()).map_err(|error| does_not_hold(error.to_string()))?;
        called
            .verify_server_cert(own, between, &name, &[], now)
            .map_err(|error| does_not_hold(error.to_string()))?;
    }

    let wrong = |error: rustls::Error| does_not_hold(error.to_string());
    let mut client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(wrong)?
        .with_webpki_verifier(called)
        .with_client_auth_cert(chain.clone(), key.clone_key())
        .map_err(wrong)?;
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(wrong)?
        .with_client_cert_verifier(callers)
        .with_single_cert(chain, key)
        .map_err(wrong)?;
    client.alpn_protocols = vec![b"h2".to_vec()];
    server.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would pass by the certificate, which may have expired since.
    client.resumption = Resumption::disabled();
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok(Ends { client: Arc::new(client), server: Arc::new(server) })
}
