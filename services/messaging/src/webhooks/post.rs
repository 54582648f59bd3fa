//! One POST to a receiver somewhere on the Internet. The names are resolved by us, and only addresses that may be reached are
//! connected to: what is checked is what is used. No redirect is followed, no proxy asked, and of the answer only the status
//! is read.

use std::{
    error::Error as StdError,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt};
use lethe_service::BuildError;
use reqwest::{
    Client, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use url::Host;

use crate::{
    config::WebhooksConfig,
    domain::reach::{Network, may_reach},
};

/// How names become addresses.
pub(crate) type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Names as the machine resolves them.
pub(crate) fn system() -> Lookup {
    Arc::new(|name| {
        async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        }
        .boxed()
    })
}

/// Why there is no answer. Codes, as they stand in the list of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The name has no address.
    NameNotResolved,
    /// It has none that may be reached.
    AddressNotAllowed,
    /// Nobody listens, or TLS failed.
    ConnectFailed,
    /// Not in time.
    TimedOut,
    /// It ended amid the answer, or is no HTTP.
    Broken,
}

impl NoAnswer {
    /// Its code.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::NameNotResolved => "NAME_NOT_RESOLVED",
            Self::AddressNotAllowed => "ADDRESS_NOT_ALLOWED",
            Self::ConnectFailed => "CONNECT_FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Broken => "CONNECTION_BROKEN",
        }
    }
}

/// Posts.
#[derive(Clone)]
pub(crate) struct Post {
    client: Client,
    allowed: Arc<[Network]>,
}

impl Post {
    /// With the limits of the configuration.
    ///
    /// # Errors
    /// When there are no root certificates to trust.
    pub(crate) fn new(config: &WebhooksConfig, lookup: Lookup) -> Result<Self, BuildError> {
        let allowed: Arc<[Network]> = config.allowed_networks.clone().into();
        let client = Client::builder()
            .dns_resolver(Guarded { lookup, allowed: allowed.clone() })
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            .referer(false)
            // A connection is used once: a receiver's answers cannot run into one another, and no body need be read.
            .pool_max_idle_per_host(0)
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
            .timeout(Duration::from_millis(config.timeout_ms))
            .user_agent("Lethe-Webhooks/1")
            .build()?;
        Ok(Self { client, allowed })
    }

    /// Posts `body` and answers the status.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub(crate) async fn send(
        &self,
        url: &Url,
        headers: [(&'static str, String); 3],
        body: String,
    ) -> Result<u16, NoAnswer> {
        // An address in the URL is resolved by nobody: it is judged here.
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            _ => None,
        };
        if literal.is_some_and(|address| !may_reach(address, &self.allowed)) {
            return Err(NoAnswer::AddressNotAllowed);
        }
        let mut request = self.client.post(url.clone()).header("content-type", "application/json").body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        match request.send().await {
            Ok(answer) => Ok(answer.status().as_u16()),
            Err(error) => Err(why(&error)),
        }
    }
}

fn why(error: &reqwest::Error) -> NoAnswer {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return refused.0;
        }
        source = cause.source();
    }
    match error {
        error if error.is_timeout() => NoAnswer::TimedOut,
        error if error.is_connect() => NoAnswer::ConnectFailed,
        _ => NoAnswer::Broken,
    }
}

/// Why a name led nowhere.
#[derive(Debug, thiserror::Error)]
#[error("the name leads nowhere: {}", self.0.code())]
struct Refused(NoAnswer);

/// Resolves names to addresses that may be reached, and to no others.
struct Guarded {
    lookup: Lookup,
    allowed: Arc<[Network]>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, allowed) = ((self.lookup)(name.as_str().to_owned()), self.allowed.clone());
        async move {
            let refused = |why| Box::<dyn StdError + Send + Sync>::from(Refused(why));
            let found = found.await.map_err(|_| refused(NoAnswer::NameNotResolved))?;
            if found.is_empty() {
                return Err(refused(NoAnswer::NameNotResolved));
            }
            let open: Vec<_> = found
                .into_iter()
                .filter(|address| may_reach(*address, &allowed))
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if open.is_empty() {
                return Err(refused(NoAnswer::AddressNotAllowed));
            }
            Ok(Box::new(open.into_iter()) as Addrs)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
