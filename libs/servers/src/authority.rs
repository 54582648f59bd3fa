//! A certificate authority of our own, for development and tests: it signs for whom we say, and lives in a folder.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use crate::ServerError;

const NAME: &str = "Lethe development authority";
/// How long the authority itself is good for.
const LIFE: Duration = Duration::days(10 * 365);
/// Certificates are good from a little earlier, so that clocks may differ.
const EARLIER: Duration = Duration::hours(1);

/// An authority whose key is in a folder: `ca.pem` and `ca-key.pem`.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// Where a certificate and its key are, in PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key, readable by its owner alone.
    pub key: PathBuf,
}

impl Authority {
    /// The authority in `folder`, made at `now` if there is none.
    ///
    /// # Errors
    /// When the folder cannot be read or written, or its key is none.
    pub fn in_folder(folder: &Path, now: OffsetDateTime) -> Result<Self, ServerError> {
        fs::create_dir_all(folder).map_err(cannot(folder))?;
        let (certificate, key_file) = (folder.join("ca.pem"), folder.join("ca-key.pem"));
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, NAME);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (now - EARLIER, now + LIFE);
        let key = if certificate.exists() {
            let pem = fs::read_to_string(&key_file).map_err(cannot(&key_file))?;
            KeyPair::from_pem(&pem).map_err(refused(&key_file))?
        } else {
            let key = KeyPair::generate().map_err(refused(&key_file))?;
            write_private(&key_file, &key.serialize_pem()).map_err(cannot(&key_file))?;
            let own = params.self_signed(&key).map_err(refused(&certificate))?;
            fs::write(&certificate, own.pem()).map_err(cannot(&certificate))?;
            key
        };
        Ok(Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) })
    }

    /// The authority's own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Signs for `names` (DNS names or addresses) from `now` on, into `file.pem` and `file-key.pem` of the folder. What
    /// was there is replaced, each file whole or not at all.
    ///
    /// # Errors
    /// When a name is none, or the folder cannot be written.
    pub fn issue(
        &self,
        file: &str,
        names: &[&str],
        now: OffsetDateTime,
        life: Duration,
    ) -> Result<Certificate, ServerError> {
        let (certificate, key_file) =
            (self.folder.join(format!("{file}.pem")), self.folder.join(format!("{file}-key.pem")));
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).map_err(refused(&certificate))?;
        params.distinguished_name.push(DnType::CommonName, file);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (now - EARLIER, now + life);
        let key = KeyPair::generate().map_err(refused(&key_file))?;
        let signed = params.signed_by(&key, &self.issuer).map_err(refused(&certificate))?;
        write_private(&key_file, &key.serialize_pem()).map_err(cannot(&key_file))?;
        write_private(&certificate, &signed.pem()).map_err(cannot(&certificate))?;
        Ok(Certificate { certificate, key: key_file })
    }
}

fn cannot(path: &Path) -> impl FnOnce(io::Error) -> ServerError {
    ServerError::io(format!("cannot read or write {}", path.display()))
}

fn refused(path: &Path) -> impl FnOnce(rcgen::Error) -> ServerError {
    let path = path.display().to_string();
    move |error| ServerError::Io { what: format!("cannot make {path}"), source: io::Error::other(error) }
}

/// For our eyes alone, and whole.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    fs::rename(fresh, path)
}
