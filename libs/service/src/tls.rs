//! TLS with certificates from files that may be replaced while the process runs.
//!
//! [`Mutual`] is the wire between the services: TLS 1.3, both ends show a certificate of one authority, and a
//! certificate is for the services whose names stand in it as DNS names. [`Https`] is the door to the outside.
//!
//! The surprising thing: a file that changed is looked at by its bytes every so often, and what does not hold (an expired
//! certificate, another's key, half a file) is refused and the old one kept; connections that stand are never touched.

mod files;
mod https;
mod mutual;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

pub use https::{Https, HttpsConfig};
pub use mutual::{Mutual, TlsConfig, certifies};

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that is not there, or not ours to read.
    #[error("{0} cannot be read")]
    File(PathBuf, #[source] io::Error),
    /// A file without what should be in it.
    #[error("{path} has no {what} in PEM")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// The authority, certificate and key do not fit together, or not the services of this process, or not the time.
    #[error("{0} does not hold: {1}")]
    Certificate(PathBuf, String),
}

fn read(path: impl AsRef<Path>) -> Result<Vec<u8>, TlsError> {
    let path = path.as_ref();
    fs::read(path).map_err(|source| TlsError::File(path.to_owned(), source))
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let none = || TlsError::Pem { path: path.to_owned(), what: "certificate" };
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or_else(none)
}

fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    let none = |_| TlsError::Pem { path: path.to_owned(), what: "private key" };
    PrivateKeyDer::from_pem_slice(pem).map_err(none)
}

/// The one provider of cryptography.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
