//! The gateway's options. Their meaning and defaults stand in `config.default.toml`; here is what cannot be meant.

use std::{net::SocketAddr, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lethe_service::{Secret, tls::HttpsConfig};
use serde::Deserialize;

use crate::{edge::address::Network, rate::Rates};

/// The section `[gateway]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// The certificate that is shown; none: HTTP, behind whoever ends TLS.
    #[serde(default)]
    pub tls: Option<HttpsConfig>,
    /// The most bytes of a body.
    pub body_limit_bytes: usize,
    /// The most bytes of a request's line and headers.
    pub header_limit_bytes: usize,
    /// How long headers may take.
    pub header_timeout_ms: u64,
    /// How long a request may take.
    pub request_timeout_ms: u64,
    /// Connections at a time.
    pub max_connections: usize,
    /// Requests at a time.
    pub max_in_flight: usize,
    /// How long the drain may take.
    pub drain_timeout_ms: u64,
    /// Networks whose forwarding headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Hosts that signed requests may name.
    pub authorities: Vec<String>,
    /// How long a request's body may take.
    pub body_timeout_ms: u64,
    /// Origins besides our own that may use a cookie session.
    pub origins: Vec<String>,
    /// Principals kept in memory.
    pub max_sessions: u64,
    /// Requests of API keys that wait to be recorded.
    pub request_log_queue: usize,
    /// How long a cursor is good for.
    pub cursor_life_s: u64,
    /// 32 bytes in base64url.
    #[serde(default)]
    pub cursor_key: Option<Secret>,
    /// How often.
    pub rates: Rates,
}

/// An option that cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error("gateway.{option}: {message}")]
pub struct Unusable {
    option: &'static str,
    message: &'static str,
}

impl Config {
    /// How long a request may take.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// How long a request's body may take.
    pub(crate) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }

    /// Refuses what would only show later.
    pub(crate) fn check(&self) -> Result<(), Unusable> {
        let wrong = |option, message| Err(Unusable { option, message });
        // hyper refuses to run with a smaller buffer.
        if self.header_limit_bytes < 8_192 {
            return wrong("header_limit_bytes", "must be 8,192 or more");
        }
        for (option, number) in [
            ("header_timeout_ms", self.header_timeout_ms),
            ("request_timeout_ms", self.request_timeout_ms),
            ("body_timeout_ms", self.body_timeout_ms),
            ("max_sessions", self.max_sessions),
            ("cursor_life_s", self.cursor_life_s),
        ] {
            if number == 0 {
                return wrong(option, "must be 1 or more");
            }
        }
        if self.request_log_queue == 0 {
            return wrong("request_log_queue", "must be 1 or more");
        }
        if self.max_connections == 0 || self.max_in_flight == 0 || self.body_limit_bytes == 0 {
            return wrong("max_connections", "this, max_in_flight and body_limit_bytes must be 1 or more");
        }
        if self.origins.iter().any(|origin| !origin.contains("://") || origin.ends_with('/')) {
            return wrong("origins", "must look like https://inbox.example.com, without a path");
        }
        let fits = |authority: &String| {
            !authority.is_empty() && !authority.contains(['/', '@']) && *authority == authority.to_lowercase()
        };
        if !self.authorities.iter().all(fits) {
            return wrong(
                "authorities",
                "must look like api.example.com, in lower case, without scheme and path",
            );
        }
        if self.authorities.is_empty() && !self.listen.ip().is_loopback() {
            return wrong(
                "authorities",
                "must name the hosts under which clients reach us: a signature made for another host would be good here",
            );
        }
        if !self.rates.are_sane() {
            return wrong("rates", "`requests` and `per_s` must be 1 or more");
        }
        Ok(())
    }

    /// The cursors' key, where one is configured.
    pub(crate) fn cursor_key(&self) -> Result<Option<[u8; 32]>, Unusable> {
        let Some(secret) = &self.cursor_key else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(secret.expose().trim()).ok();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Some).ok_or(Unusable {
            option: "cursor_key",
            message: "must be 32 bytes in base64url without padding",
        })
    }
}
