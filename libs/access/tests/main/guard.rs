//! The layer: what it lets through carries a caller, what it refuses is a status with a reason.

use std::convert::Infallible;

use http::{HeaderMap, Request, Response};
use lethe_access::{Caller, Guard, Role};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower::{Layer, ServiceExt, service_fn};

use crate::rig::{READ, Rig, SEND};

/// The status and the caller's service as the routes behind the guard saw it.
async fn call(rig: &Rig, path: &str, headers: HeaderMap) -> Result<Option<Caller>, Status> {
    let routes = service_fn(|request: Request<()>| async move {
        let mut response = Response::new(String::new());
        if let Some(caller) = request.extensions().get::<Caller>() {
            response.extensions_mut().insert(caller.clone());
        }
        Ok::<_, Infallible>(response)
    });
    let mut request = Request::builder().uri(path).body(()).unwrap();
    *request.headers_mut() = headers;
    let response = Guard::new(rig.messaging.clone()).layer(routes).oneshot(request).await.unwrap();
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => Err(status),
        _ => Ok(response.extensions().get().cloned()),
    }
}

#[tokio::test]
async fn what_passes_has_a_caller() {
    let rig = Rig::new();
    let caller = call(&rig, READ, rig.headers(&[Role::Agent])).await.unwrap();
    assert_eq!(&*caller.unwrap().service, "gateway");
    assert_eq!(call(&rig, "/grpc.health.v1.Health/Check", HeaderMap::new()).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let rig = Rig::new();
    for (path, headers, code, reason) in [
        (READ, HeaderMap::new(), Code::Unauthenticated, "SERVICE_TOKEN_MISSING"),
        (SEND, rig.headers(&[Role::Auditor]), Code::PermissionDenied, "PERMISSION_DENIED"),
    ] {
        let status = call(&rig, path, headers).await.unwrap_err();
        assert_eq!(status.code(), code);
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, "lethe"));
    }
}
