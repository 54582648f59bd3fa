//! Where revocations come from: identity's stream, and its answer when the stream is silent. In identity itself both are
//! its own database (`services/identity/src/revocation.rs`).

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use lethe_ambient::{Planted, Tasks, planted};
use lethe_proto::identity::{
    CheckPrincipalRequest, WatchRevocationsRequest, identity_service_client::IdentityServiceClient,
    revocation::What,
};
use tokio::time::Instant;
use tonic::{
    Request, Status,
    body::Body,
    client::GrpcService,
    codegen::{Body as HttpBody, Bytes, StdError},
};

use crate::{
    Access, IDENTITY, Principal, Revocation, Revocations, Revoked, SERVICE_TOKEN, Who, revocations::SILENCE,
};

/// How long to wait before the stream is opened again.
const AGAIN: Duration = Duration::from_millis(100);

/// Answers whether a principal still stands: identity by gRPC, or identity's own database.
pub trait Ask: Send + Sync + 'static {
    /// `Err` when it cannot be known.
    fn stands<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<bool, Status>>;
}

/// Identity at the other end of a channel, over a network or in the process.
#[derive(Clone)]
pub struct RemoteIdentity<C> {
    client: IdentityServiceClient<C>,
    access: Access,
}

impl<C> RemoteIdentity<C>
where
    C: GrpcService<Body> + Clone + Send + Sync + 'static,
    C::Future: Send,
    C::Error: Into<StdError>,
    C::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <C::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    /// `access` is the calling service's own.
    pub fn new(channel: C, access: Access) -> Self {
        Self { client: IdentityServiceClient::new(channel), access }
    }

    /// Feeds the service's revocations until the process is asked to stop, and lets them ask when it is silent.
    /// `access` must not be given away before: what was revoked earlier comes with the first message.
    pub async fn feed(self, tasks: Tasks) {
        let revocations = self.access.revocations().clone();
        let weak = Asker { client: self.client.clone(), access: self.access.clone() };
        revocations.ask_with(Arc::new(weak));
        while !tasks.is_stopping() {
            tokio::select! {
                () = tasks.stopped() => return,
                result = self.listen(&revocations) => {
                    if let Err(status) = result {
                        tracing::debug!(code = ?status.code(), "the stream of revocations ended");
                    }
                }
            }
            if !tasks.rest(AGAIN).await {
                return;
            }
        }
    }

    /// One stream to its end. A silent one is given up, so that a dead connection is not waited for.
    async fn listen(&self, revocations: &Revocations) -> Result<(), Status> {
        let request = with_token(&self.access, WatchRevocationsRequest {});
        let mut stream = self.client.clone().watch_revocations(request).await?.into_inner();
        loop {
            let next = tokio::time::timeout(2 * SILENCE, stream.message())
                .await
                .map_err(|_| Status::deadline_exceeded("no heartbeat"))??;
            let Some(message) = next else { return Ok(()) };
            let mut heard = Vec::with_capacity(message.revocations.len());
            for revocation in &message.revocations {
                heard
                    .push(decode(revocation).ok_or_else(|| Status::internal("a revocation cannot be read"))?);
            }
            let now = Instant::now();
            if !planted(Planted::RevocationOnlyByNats) {
                revocations.apply(&heard, now);
            }
            revocations.heard(now);
        }
    }
}

struct Asker<C> {
    client: IdentityServiceClient<C>,
    access: Access,
}

impl<C> Ask for Asker<C>
where
    C: GrpcService<Body> + Clone + Send + Sync + 'static,
    C::Future: Send,
    C::Error: Into<StdError>,
    C::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <C::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    fn stands<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<bool, Status>> {
        let mut question = CheckPrincipalRequest {
            tenant_id: principal.tenant.to_string(),
            issued_at_ms: principal.issued_at_ms,
            ..Default::default()
        };
        match principal.who {
            Who::Member { member, session, .. } => {
                question.member_id = member.to_string();
                question.session_id = session.to_string();
            }
            Who::ApiKey { key, .. } => question.api_key_id = key.to_string(),
            Who::Operator { access, .. } => question.operator_access_id = access.to_string(),
        }
        let request = with_token(&self.access, question);
        let mut client = self.client.clone();
        Box::pin(async move { Ok(client.check_principal(request).await?.into_inner().valid) })
    }
}

fn with_token<T>(access: &Access, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert_bin(SERVICE_TOKEN, access.service_token(IDENTITY));
    request
}

/// `None` when an id is none, or it is about nothing: then nothing is known, and silence is the safe answer.
fn decode(revocation: &lethe_proto::identity::Revocation) -> Option<Revocation> {
    let what = match revocation.what.as_ref()? {
        What::SessionId(id) => Revoked::Session(id.parse().ok()?),
        What::MemberId(id) => Revoked::Member(id.parse().ok()?),
        What::ApiKeyId(id) => Revoked::ApiKey(id.parse().ok()?),
        What::OperatorAccessId(id) => Revoked::OperatorAccess(id.parse().ok()?),
        What::Tenant(_) => Revoked::Tenant,
    };
    Some(Revocation {
        tenant: revocation.tenant_id.parse().ok()?,
        what,
        revoked_at_ms: revocation.revoked_at_ms,
    })
}
