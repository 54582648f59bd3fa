//! The door to the outside.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use lethe_ambient::Tasks;
use rustls::{
    ServerConfig,
    version::{TLS12, TLS13},
};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{TlsError, certificates, files::Files, mutual::reload_interval_ms, private_key, provider};

/// Where the certificate of a public address is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpsConfig {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// How often both files are looked at.
    #[serde(default = "reload_interval_ms")]
    pub reload_interval_ms: u64,
}

/// TLS 1.3, or 1.2 for who has no better, with HTTP/2 by ALPN. Clones share it.
#[derive(Clone)]
pub struct Https(Files<Arc<ServerConfig>>);

impl Https {
    /// Reads the files, and again whenever they change.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(config: &HttpsConfig, tasks: &Tasks) -> Result<Self, TlsError> {
        let paths = vec![config.certificate.clone(), config.key.clone()];
        let (known, interval) = (paths.clone(), Duration::from_millis(config.reload_interval_ms));
        Files::watch(paths, interval, tasks, move |contents| {
            let does_not_hold =
                |error: rustls::Error| TlsError::Certificate(known[0].clone(), error.to_string());
            let chain = certificates(&known[0], &contents[0])?;
            let key = private_key(&known[1], &contents[1])?;
            let mut server = ServerConfig::builder_with_provider(provider())
                .with_protocol_versions(&[&TLS13, &TLS12])
                .map_err(does_not_hold)?
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .map_err(does_not_hold)?;
            server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            Ok(Arc::new(server))
        })
        .map(Self)
    }

    /// The handshake, at most as long as `limit`.
    ///
    /// # Errors
    /// When the client speaks no TLS that we do, or takes too long.
    pub async fn accept(&self, stream: TcpStream, limit: Duration) -> io::Result<TlsStream<TcpStream>> {
        let accepted = TlsAcceptor::from((*self.0.current()).clone()).accept(stream);
        tokio::time::timeout(limit, accepted).await?
    }
}

impl std::fmt::Debug for Https {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Https")
    }
}
