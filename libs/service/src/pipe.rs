//! The in-process transport: a call goes straight into the other service's layer, with the same protobuf, the same
//! headers and the same authorisation as over a network, and without a connection's frames.
//!
//! The surprising thing: the called handler runs in the caller's task, so a caller that gives up drops it, as a
//! reset stream does over a network.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use http::{Extensions, Request, Response};
use tokio::{sync::SetOnce, time::timeout};
use tonic::{Status, body::Body};

use crate::{Failure, call, server::Shell};

/// How long a call that names no time waits for a service that is not served yet.
const PATIENCE: Duration = Duration::from_secs(10);

/// The calling end. Calls that come before the service is served wait for it.
#[derive(Clone, Debug)]
pub struct Pipe(Arc<SetOnce<Shell>>);

/// The end that a service is served on.
#[derive(Debug)]
pub struct Incoming(Arc<SetOnce<Shell>>);

impl Pipe {
    /// Both ends of a pipe. The peers are made before the services are: that is why there are two.
    #[allow(clippy::new_ret_no_self, reason = "a pipe has two ends")]
    pub fn new() -> (Self, Incoming) {
        let slot = Arc::new(SetOnce::new());
        (Self(slot.clone()), Incoming(slot))
    }

    /// Makes the call. Extensions do not travel: what the callee believes stands in headers that it verifies.
    pub(crate) fn call<E: Send + 'static>(
        &self,
        mut request: Request<Body>,
    ) -> BoxFuture<'static, Result<Response<Body>, E>> {
        *request.extensions_mut() = Extensions::new();
        match self.0.get() {
            Some(shell) => shell.call(request),
            None => {
                let slot = self.0.clone();
                let patience = call::timeout(request.headers()).unwrap_or(PATIENCE);
                Box::pin(async move {
                    match timeout(patience, slot.wait()).await {
                        Ok(shell) => shell.call(request).await,
                        Err(_) => Ok(Status::from(Failure::late()).into_http()),
                    }
                })
            }
        }
    }
}

impl Incoming {
    pub(crate) fn serve(self, shell: Shell) {
        // Only this end sets it, and it is consumed.
        let _ = self.0.set(shell);
    }
}
