//! The layer that lets a call through, or not. It stands directly before a service's routes; health and reflection pass.

use std::{
    mem,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::Status;
use tower::{Layer, Service};

use crate::Access;

/// Enforces the authorisation line of every RPC, and puts a [`crate::Caller`] into the extensions.
#[derive(Clone, Debug)]
pub struct Guard(Access);

impl Guard {
    /// Guards with the service's own access.
    pub fn new(access: Access) -> Self {
        Self(access)
    }
}

impl<S> Layer<S> for Guard {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService { access: self.0.clone(), inner }
    }
}

/// A guarded service.
#[derive(Clone, Debug)]
pub struct GuardService<S> {
    access: Access,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for GuardService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<R>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let access = self.access.clone();
        // The one that was polled ready goes with the call.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        Box::pin(async move {
            match access.authorize(request.uri().path(), request.headers()).await {
                Ok(caller) => {
                    if let Some(caller) = caller {
                        request.extensions_mut().insert(caller);
                    }
                    inner.call(request).await
                }
                Err(denied) => {
                    tracing::info!(reason = denied.reason, path = request.uri().path(), "call refused");
                    Ok(Status::from(denied).into_http())
                }
            }
        })
    }
}
