//! The secrets and the configuration file of a `lethe dev`: made once, kept in its folder, readable by us alone.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lethe_access::ServiceKey;
use lethe_ambient::{Clock, Entropy};
use lethe_retention::certificate::generate_key;

use super::{Folder, Stores};
use crate::platform::SERVICES;

/// Random texts of 32 bytes, one a file: the servers' passwords, the services' signing seeds, the gateway's cursor key,
/// and the demo owner's password.
const SECRETS: [&str; 6] = ["postgres", "keystore", "nats", "databases", "cursor-key", "owner"];
/// The private key that certificates are signed with, a file of retention's own format.
const CERTIFICATE_KEY: &str = "certificate-key.json";
/// How long that key signs.
const CERTIFICATE_KEY_LIFE: time::Duration = time::Duration::days(2 * 365);

/// Where they are.
pub(crate) struct Home<'a> {
    folder: &'a Folder,
}

impl<'a> Home<'a> {
    /// Makes what is missing.
    pub(crate) fn in_folder(folder: &'a Folder, clock: &Clock, entropy: &Entropy) -> anyhow::Result<Self> {
        fs::create_dir_all(folder.path("secrets"))?;
        let seeds = SERVICES.iter().chain(["operator"].iter()).map(|service| seed_name(service));
        for name in SECRETS.iter().map(|name| (*name).to_owned()).chain(seeds) {
            let file = secret_file(&name);
            if !folder.path(&file).exists() {
                folder.write_private(&file, URL_SAFE_NO_PAD.encode(entropy.bytes::<32>()).as_bytes())?;
            }
        }
        if !folder.path(&secret_file(CERTIFICATE_KEY)).exists() {
            // From an hour ago, so that a clock that is set back a little does not keep it from signing.
            let from = clock.now() - time::Duration::hours(1);
            let key = generate_key(entropy, from, from + CERTIFICATE_KEY_LIFE)?;
            folder.write_private(&secret_file(CERTIFICATE_KEY), key.expose().as_bytes())?;
        }
        Ok(Self { folder })
    }

    /// The text of a secret.
    pub(crate) fn secret(&self, name: &str) -> anyhow::Result<String> {
        let path = self.folder.path(&secret_file(name));
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The demo owner's password.
    pub(crate) fn owner_password(&self) -> anyhow::Result<String> {
        Ok(self.secret("owner")?[..20].to_owned())
    }

    /// Writes `lethe.toml`: the addresses of the stores as they run now, and where the secrets are.
    pub(crate) fn write_config(
        &self,
        file: &Path,
        stores: &Stores,
        http: SocketAddr,
        overrides: &str,
    ) -> anyhow::Result<()> {
        let [main, keystore, nats] = stores.addresses();
        let path = |name: &str| toml::Value::String(self.folder.path(name).display().to_string());
        let secret = |name: &str| path(&secret_file(name));
        let mut text = format!(
            "[nats]\nurl = \"{nats}\"\nuser = \"{}\"\npassword_file = {}\n\n\
             [gateway]\nlisten = \"{http}\"\ncursor_key_file = {}\n\n\
             [search]\nindex_dir = {}\n\n\
             [identity]\ndevelopment = true\n\n\
             [messaging.webhooks]\nallow_http = true\nallowed_networks = [\"127.0.0.0/8\", \"::1/128\"]\nports = []\n\n\
             [retention.ledger]\npath = {}\n\n\
             [retention.certificate]\nsigning_key_file = {}\n\n",
            stores.nats_user(),
            secret("nats"),
            secret("cursor-key"),
            path("index"),
            path("ledger"),
            secret(CERTIFICATE_KEY),
        );
        let databases = secret("databases");
        for service in ["identity", "messaging", "search", "retention"] {
            text +=
                &format!("[{service}.database]\nurl = \"{main}/{service}\"\npassword_file = {databases}\n\n");
        }
        for service in ["identity", "messaging", "retention"] {
            text += &format!(
                "[{service}.keystore]\nurl = \"{keystore}/{service}\"\npassword_file = {databases}\n\n"
            );
            text += &format!("[{service}.kms]\ndirectory = {}\n\n", path("kms"));
        }
        let (mut seeds, mut public) =
            (String::from("[access.seeds]\n"), String::from("[access.public_keys]\n"));
        for service in SERVICES.iter().chain(["operator"].iter()) {
            seeds += &format!("{service}_file = {}\n", secret(&seed_name(service)));
            public += &format!("{service} = \"{}\"\n", self.public_key(service)?);
        }
        text += &seeds;
        text += "\n";
        text += &public;
        let mut table: toml::Table = text.parse().context("the configuration that we write")?;
        lethe_service::config::lay_over(&mut table, overrides.parse().context("the overrides")?);
        let text = format!("# Written by `lethe dev` at each start.\n{}", toml::to_string(&table)?);
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    fn public_key(&self, service: &str) -> anyhow::Result<String> {
        let seed = crate::config::key_bytes(&self.secret(&seed_name(service))?)?;
        Ok(URL_SAFE_NO_PAD.encode(ServiceKey::from_seed(&seed)?.public()))
    }
}

fn seed_name(service: &str) -> String {
    format!("{service}-seed")
}

fn secret_file(name: &str) -> String {
    format!("secrets/{name}")
}
