//! Identity, as far as messaging asks it: every member is there and active, but for these.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use lethe_proto::identity::{CheckMemberRequest, CheckMemberResponse};
use lethe_service::{Failure, Parts};
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, Service, http},
    server::{Grpc, NamedService, UnaryService},
    service::Routes,
};
use tonic_prost::ProstCodec;

/// A member who was deactivated.
pub(crate) const LEFT: &str = "mem_00000000000000000000000000000001";
/// Nobody of this tenant.
pub(crate) const STRANGER: &str = "mem_00000000000000000000000000000002";
/// Whoever asks for him finds identity away.
pub(crate) const AWAY: &str = "mem_00000000000000000000000000000003";

/// The service, to be served.
pub(crate) fn parts() -> Parts {
    let grpc = Routes::new(Identity);
    Parts { name: "identity", grpc, jobs: Vec::new(), probes: Vec::new(), http: None }
}

#[derive(Clone)]
struct Identity;

impl NamedService for Identity {
    const NAME: &'static str = "lethe.identity.v1.IdentityService";
}

impl Service<http::Request<Body>> for Identity {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(CheckMember, request).await) })
    }
}

struct CheckMember;

impl UnaryService<CheckMemberRequest> for CheckMember {
    type Response = CheckMemberResponse;
    type Future = Ready<Result<Response<CheckMemberResponse>, Status>>;

    fn call(&mut self, request: Request<CheckMemberRequest>) -> Self::Future {
        ready(match request.get_ref().member_id.as_str() {
            STRANGER => Err(Failure::not_found("member").into()),
            AWAY => Err(Status::unavailable("away")),
            id => Ok(Response::new(CheckMemberResponse { active: id != LEFT })),
        })
    }
}
