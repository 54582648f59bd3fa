//! What may go over which wire: plain on this machine's loopback, TLS anywhere else.

use anyhow::{Context, ensure};
use url::{Host, Url};

use super::Config;

impl Config {
    /// Refuses every connection that would leave the machine in plain.
    pub(super) fn check_wires(&self) -> anyhow::Result<()> {
        for (name, address) in &self.grpc {
            ensure!(
                self.tls.is_some() || address.ip().is_loopback(),
                "grpc.{name} must be an address of loopback, or [tls] must say which certificate is shown"
            );
        }
        for (name, urls) in &self.peers {
            for url in urls.split(',').map(str::trim) {
                let parsed = parsed(url).with_context(|| format!("peers.{name}"))?;
                match &self.tls {
                    Some(_) => {
                        ensure!(parsed.scheme() == "https", "peers.{name}: {url} must be https with [tls]")
                    }
                    None => ensure!(
                        parsed.scheme() == "http" && is_here(&parsed),
                        "peers.{name}: {url} must be http on loopback, or https with [tls]"
                    ),
                }
            }
        }
        let gateway = &self.gateway;
        ensure!(
            gateway.listen.ip().is_loopback() || gateway.tls.is_some() || !gateway.trusted_proxies.is_empty(),
            "gateway.listen must be an address of loopback, or [gateway.tls] must say which certificate is shown, \
             or gateway.trusted_proxies who ends TLS before us"
        );
        let signals = &self.telemetry.endpoint;
        if !signals.is_empty() {
            let endpoint = parsed(signals).context("telemetry.endpoint")?;
            ensure!(
                endpoint.scheme() == "https" || is_here(&endpoint),
                "telemetry.endpoint: {signals} must be https, or on loopback"
            );
        }
        // A developer's cluster may have its stores in plain.
        if self.identity.development { Ok(()) } else { self.check_stores() }
    }

    fn check_stores(&self) -> anyhow::Result<()> {
        for store in self.databases() {
            let (url, service) = (&store.config.url, store.service);
            let parsed = parsed(url).with_context(|| format!("a database of {service}"))?;
            let mode = parsed.query_pairs().find(|(name, _)| name == "sslmode" || name == "ssl-mode");
            ensure!(
                is_here(&parsed) || mode.is_some_and(|(_, mode)| mode == "verify-full"),
                "a database of {service}: {url} must say sslmode=verify-full, or be on loopback"
            );
        }
        for url in self.nats.url.split(',').map(str::trim) {
            let parsed = parsed(url).context("nats.url")?;
            ensure!(
                parsed.scheme() == "tls" || is_here(&parsed),
                "nats.url: {url} must begin with tls://, or be on loopback"
            );
        }
        Ok(())
    }
}

fn parsed(url: &str) -> anyhow::Result<Url> {
    Url::parse(url).with_context(|| format!("{url} is no URL"))
}

/// Whether it stays on this machine; a URL without a host is a socket's.
fn is_here(url: &Url) -> bool {
    match url.host() {
        None => true,
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        // In a scheme that the standard does not know, an address is a name.
        Some(Host::Domain(name)) => {
            name == "localhost" || name.parse().is_ok_and(|address: std::net::Ipv4Addr| address.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::defaults;

    /// The defaults with something laid over them.
    fn checked(over: &str) -> Result<(), String> {
        let needed = "[retention.certificate]\nsigning_key = \"of somewhere\"";
        let mut layers = defaults().to_vec();
        layers.extend([needed, over]);
        let config: Config =
            lethe_service::load(&layers, None, std::iter::empty()).map_err(|error| error.to_string())?;
        config.check_wires().map_err(|error| format!("{error:#}"))
    }

    const TLS: &str = "[tls]\nca = \"ca.pem\"\ncertificate = \"own.pem\"\nkey = \"key.pem\"\n";

    #[test]
    fn what_stays_on_loopback_may_be_plain() {
        let loopback = "[grpc]\nmessaging = \"127.0.0.1:7002\"\n[peers]\nsearch = \"http://127.0.0.1:1, http://[::1]:2\"";
        assert_eq!(checked(""), Ok(()));
        assert_eq!(checked(loopback), Ok(()));
    }

    #[test]
    fn between_machines_there_is_mutual_tls() {
        let listen = "[grpc]\nmessaging = \"0.0.0.0:7002\"\n";
        let call = "[peers]\nsearch = \"https://10.0.0.1:7003,https://10.0.0.2:7003\"\n";
        let plain = "[peers]\nsearch = \"https://10.0.0.1:7003,http://10.0.0.2:7003\"\n";
        for without in [listen, call, plain, "[peers]\nsearch = \"http://search:7003\""] {
            checked(without).expect_err(without);
        }
        assert_eq!(checked(&format!("{listen}{call}{TLS}")), Ok(()));
        checked(&format!("{plain}{TLS}")).expect_err("one of two in plain");
    }

    #[test]
    fn the_gateway_shows_a_certificate_or_stands_behind_who_does() {
        checked("[gateway]\nlisten = \"0.0.0.0:8080\"").expect_err("plain to the world");
        let shown = "[gateway]\nlisten = \"0.0.0.0:443\"\n[gateway.tls]\ncertificate = \"c\"\nkey = \"k\"";
        assert_eq!(checked(shown), Ok(()));
        assert_eq!(
            checked("[gateway]\nlisten = \"0.0.0.0:8080\"\ntrusted_proxies = [\"10.0.0.0/8\"]"),
            Ok(())
        );
    }

    #[test]
    fn stores_on_other_machines_are_reached_over_tls() {
        let database = |query: &str| {
            format!("[messaging.keystore]\nurl = \"postgres://keys.example.com:5432/messaging{query}\"")
        };
        for plain in ["", "?sslmode=prefer", "?sslmode=require", "?sslmode=verify-ca"] {
            checked(&database(plain)).expect_err(plain);
        }
        assert_eq!(checked(&database("?sslmode=verify-full&sslrootcert=/ca.pem")), Ok(()));
        checked("[nats]\nurl = \"tls://a.example.com:4222,nats://b.example.com:4222\"")
            .expect_err("one in plain");
        assert_eq!(checked("[nats]\nurl = \"tls://a.example.com:4222\""), Ok(()));
        checked("[telemetry]\nendpoint = \"http://collector:4317\"").expect_err("signals in plain");
        assert_eq!(checked(&format!("[identity]\ndevelopment = true\n{}", database(""))), Ok(()));
    }
}
