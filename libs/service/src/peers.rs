//! The other services, by name. A [`PeerChannel`] is what a generated client is made of: it adds the caller's
//! service token for that audience and hands on the [`CallContext`].

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::{Request, Response};
use lethe_access::{Access, SERVICE_TOKEN};
use tonic::{Status, body::Body};
use tower::Service;

use crate::{CallContext, Failure, Pipe, Replicas};

/// How another service is reached.
#[derive(Clone, Debug)]
pub enum Transport {
    /// In this process.
    Pipe(Pipe),
    /// In other processes.
    Network(Replicas),
}

/// The services that one service may call. Clones share it.
#[derive(Clone, Debug)]
pub struct Peers {
    access: Access,
    transports: Arc<BTreeMap<String, (Arc<str>, Transport)>>,
}

impl Peers {
    /// The peers of the service that `access` belongs to.
    pub fn new(access: Access, transports: impl IntoIterator<Item = (String, Transport)>) -> Self {
        let transports = transports.into_iter().map(|(name, to)| (name.clone(), (name.into(), to))).collect();
        Self { access, transports: Arc::new(transports) }
    }

    /// A channel to the service `name` for the calls that belong to `context`.
    /// A service that is not configured answers UNAVAILABLE, `PEER_UNKNOWN`.
    pub fn client(&self, name: &str, context: &CallContext) -> PeerChannel {
        PeerChannel {
            access: self.access.clone(),
            to: self.transports.get(name).cloned(),
            context: Arc::new(context.clone()),
        }
    }

    /// The names of the services that can be reached.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.transports.keys().map(String::as_str)
    }
}

/// A channel to one service for one chain of calls.
#[derive(Clone, Debug)]
pub struct PeerChannel {
    access: Access,
    to: Option<(Arc<str>, Transport)>,
    context: Arc<CallContext>,
}

impl Service<Request<Body>> for PeerChannel {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some((audience, transport)) = &self.to else {
            let failure = Failure::unavailable("PEER_UNKNOWN", "the service is not configured as a peer");
            return Box::pin(std::future::ready(Ok(Status::from(failure).into_http())));
        };
        let token = self.access.service_token(audience);
        if let Ok(token) = http::HeaderValue::from_bytes(token.as_encoded_bytes()) {
            request.headers_mut().insert(SERVICE_TOKEN, token);
        }
        self.context.put(request.headers_mut());
        match transport {
            Transport::Pipe(pipe) => pipe.call(request),
            Transport::Network(replicas) => {
                let replicas = replicas.clone();
                Box::pin(async move { Ok(replicas.call(request).await) })
            }
        }
    }
}
